"""`python -m services.identity run|api|relay|work|migrate`."""

from libs.chassis.entry import main
from services.identity.wiring import build

if __name__ == "__main__":
    main("identity", build)
