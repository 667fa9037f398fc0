"""The paper's command line: python main.py --cfg thumos --stage 1 --mode train"""

import sys

from hrpro.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("hrpro.training.command", "python main.py", "HR-Pro, one stage at a time", sys.argv[1:]))
