"""How an endpoint comes by the simulator's parts: parameters annotated Sim, Sender, Faults."""

from typing import Annotated

from fastapi import Depends, Request

from libs.simulator.courier import Courier
from libs.simulator.faults import Fault
from libs.simulator.simulation import Simulation


def _simulation(request: Request) -> Simulation:
    sim: Simulation = request.app.state.simulation
    return sim


def _courier(request: Request) -> Courier:
    sender: Courier = request.app.state.courier
    return sender


def _faults(request: Request) -> list[Fault]:
    faults: list[Fault] = request.app.state.faults
    return faults


Sim = Annotated[Simulation, Depends(_simulation)]
Sender = Annotated[Courier, Depends(_courier)]
Faults = Annotated[list[Fault], Depends(_faults)]
