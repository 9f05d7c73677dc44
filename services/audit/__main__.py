from libs.chassis.entry import main
from services.audit.wiring import build

if __name__ == "__main__":
    main("audit", build)
