"""SIGKILL at random moments: what was committed is there and correct, readers see no trace of it, nothing is done twice.

A few kills in every run of the tests, five hundred among the slow ones. Moments are drawn from a seed and logged.
"""

import os
from pathlib import Path

import pytest

from tests.crash.kills import (
    Campaign,
    OptimizeCampaign,
    ReEmbedCampaign,
    kill_many,
    reader_on,
    require_as_undisturbed,
    site_at,
)

QUICK, MANY = 6, 500
SEED = int(os.environ.get("PIPELINE_CRASH_SEED", "20261124"))


def disturb(folder: Path, campaign: Campaign, kills: int) -> None:
    with site_at(folder, SEED) as site, reader_on(site) as reader:
        tally = kill_many(site, campaign, reader, kills, print)
        read = reader.end()
        print(tally, read)
        require_as_undisturbed(site, campaign.model)
    assert tally.kills == kills
    assert read["states"] > kills
    assert read["searches"] > 0


@pytest.mark.parametrize("kills", [QUICK, pytest.param(MANY, marks=pytest.mark.slow)])
def test_killed_index_loses_nothing_that_was_committed(tmp_path: Path, kills: int) -> None:
    """Index, killed over and over while documents come, change and go."""
    disturb(tmp_path, Campaign(), kills)


@pytest.mark.parametrize("kills", [QUICK, pytest.param(MANY, marks=pytest.mark.slow)])
def test_killed_optimize_changes_nothing_that_is_said(tmp_path: Path, kills: int) -> None:
    """Optimize, killed over and over: every passage and vector is there after each kill, once."""
    disturb(tmp_path, OptimizeCampaign(), kills)


@pytest.mark.parametrize("kills", [QUICK, pytest.param(MANY, marks=pytest.mark.slow)])
def test_killed_re_embed_leaves_one_model_or_the_other(tmp_path: Path, kills: int) -> None:
    """Re-embed, killed over and over: the vectors are all of one model, and what was staged is not embedded again."""
    disturb(tmp_path, ReEmbedCampaign(), kills)
