"""The reward model of the guide before 0.2, as it was written there: such adapters go on working."""

from harness.records import StepScores
from harness.registry import ComponentParams, ModelPath, RewardModel


class MeanLogLikelihoodParams(ComponentParams):
    model: ModelPath  # a folder, a hub id, or the name of a generator in the experiment


class MeanLogLikelihood(RewardModel[MeanLogLikelihoodParams]):
    """Mean token log-probability: the log-likelihood without its taste for short responses."""

    Params = MeanLogLikelihoodParams
    reward = "ORM"  # one reward per response; "PRM" gives one per step
    score_type = "unbounded"  # or "probability", "log-ratio"

    @classmethod
    def token_passes(cls, params):
        return {"model": params.model}

    def score(self, batch):
        scored = []
        for solution in batch:
            response, logprobs = solution.response, solution.logprobs["model"].logprobs
            mean = sum(logprobs) / max(len(logprobs), 1)
            ids = (response.problem_id, response.generator, response.sample)
            scored.append(StepScores(*ids, self.name, (mean,), (len(response.text),), len(logprobs)))
        return scored
