"""`python -m services.accounts run|api|relay|consume|work|migrate`."""

from libs.chassis.entry import main
from services.accounts.wiring import build

if __name__ == "__main__":
    main("accounts", build)
