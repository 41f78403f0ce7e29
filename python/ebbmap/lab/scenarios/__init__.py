"""What subjects are put through. Each scenario is a module; Go's side is `subjects/go/scenarios.go`."""

from __future__ import annotations

from collections.abc import Mapping

from ebbmap.lab.scenarios import blackfriday, churn, fill_drain, last_n
from ebbmap.lab.scenarios.base import Scenario

__all__ = ["SCENARIOS", "Scenario"]

SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (fill_drain.SCENARIO, churn.SCENARIO, last_n.SCENARIO, blackfriday.SCENARIO)
}
