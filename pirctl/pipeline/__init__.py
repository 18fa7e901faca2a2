"""What the commands do, as functions: each module is one command or a part of several."""
