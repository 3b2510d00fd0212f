"""Who is answered next, and every answer kept until its phone has it."""
