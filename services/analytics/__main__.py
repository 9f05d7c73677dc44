from libs.chassis.entry import main
from services.analytics.wiring import build

if __name__ == "__main__":
    main("analytics", build)
