from libs.chassis.entry import main
from services.ingestion.wiring import build

if __name__ == "__main__":
    main("ingestion", build)
