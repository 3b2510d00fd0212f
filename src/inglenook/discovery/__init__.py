"""mDNS on the local network: announcing this box, and finding boxes."""
