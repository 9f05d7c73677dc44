from libs.chassis.migrate import env

env()
