"""Whose sensor it is, by its name: the processor's, or known as another part's. Kind: rules.

Neither list is complete, nor can be: kernels name zones as their device trees do. So a name only
decides where no cooling is tied to a zone, and what is on neither list may count (`counting`).
"""

from __future__ import annotations

import re

#: How a word in the name of a processor's sensor begins.
PROCESSOR = (
    "cpu",  # with a number or without; cpuss and cpullc of Qualcomm
    r"soc(?![a-z])",
    "package|bigcore|littlecore",  # Rockchip
    "cluster|(?:big|little)-cl",  # Arm, NXP, Qualcomm
    r"mpu\d?(?![a-z0-9])",  # TI: where the Cortex-A are
    r"tj(?![a-z0-9])",  # NVIDIA: the hottest junction
    "x86_pkg|coretemp",  # Intel
    "k10temp|zenpower",  # AMD
)

#: How a word in the name of another part's sensor begins, and what that is.
OTHERS = {
    "graphics": r"gpu|g3d|v3d|mali",
    "memory": r"ddr|dram|drc\d|mem|emc",
    "power chip": r"pm[a-z]{0,2}\d|pmic|pf\d|axp\d|reg(?![a-z])|vreg|choke",
    "radio": r"wifi|wlan|cwlan|wcss|wcn|wls|iwl|modem|mdm|md\d|mapss|rf|pa\d*(?![a-z0-9])|mmw|lte",
    "port": r"eth|phy|gephy|serdes|usb|conn|pcie",
    "case or board": r"skin|board|tboard|pcb|chassis|ambient|quiet|xo|epd",
    "battery": r"bat|charger|chg",
    "camera or screen": r"cam|isp|rear|ve(?![a-z])|video|venus|vdo|vdec|venc|img|disp|mdss|iva",
    "co-processor": r"npu|nna|nsp|vpu|[ac]?dsp|dspeve|q6|qdsp|hvx|lpass|cv\d|c7x|mcu|rpu|r5f",
    "disk or fan": r"nvme|drivetemp|hdd|ssd|sata|ufs|emmc|fan",
    # May be of anything, and often does not move.
    "firmware": r"acpitz|int3400|pch",
}

# A word begins after anything but a letter or a digit: `pf53soc` and `socket` are no `soc`.
_PROCESSOR = re.compile(rf"(?<![a-z0-9])(?:{'|'.join(PROCESSOR)})", re.IGNORECASE)
_OTHERS = {
    part: re.compile(rf"(?<![a-z0-9])(?:{words})", re.IGNORECASE) for part, words in OTHERS.items()
}


def other_part(name: str) -> str:
    """Say whose sensor a name says it is, if not the processor's; empty if it is not known."""
    return next((part for part, words in _OTHERS.items() if words.search(name)), "")


def is_processor(name: str) -> bool:
    """Whether a name says that a zone or chip is the processor's, and of no other part of it."""
    return _PROCESSOR.search(name) is not None and not other_part(name)
