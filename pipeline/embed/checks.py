"""The check at the door: what a server sent becomes vectors that may be stored and searched, or an error.

In: a float32 matrix, the model's name, the number of texts and the dimension expected. Out: the same matrix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import BadReply, BadVector, DimensionMismatch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNIT_TOLERANCE = 1e-3
"""How far from 1 a norm may be and still count as normalised: float32 sums of 4,096 squares err by less."""


def checked_matrix(
    matrix: NDArray[np.float32], *, model: str, count: int, dimension: int | None, where: str
) -> NDArray[np.float32]:
    """`matrix`, shape (count, dimension), with every row finite and of unit L2 norm.

    Rows of another length are normalised (older servers send them raw).

    Raises:
        BadReply: the number of rows is not the number of texts.
        DimensionMismatch: the rows are not of the model's dimension.
        BadVector: a row holds NaN or an infinity, or is all zero.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    if matrix.ndim != 2 or matrix.shape[0] != count:
        raise BadReply(
            f"{where}: asked model {model!r} for {count} embeddings, got {matrix.shape[0]}",
            hint="look at the server's log; a proxy in between may cut replies",
        )
    if dimension is not None and matrix.shape[1] != dimension:
        raise DimensionMismatch(model=model, expected=dimension, actual=matrix.shape[1], where=where)
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
    for row in np.flatnonzero(~np.isfinite(norms) | (norms == 0)):
        fault = "is all zero" if norms[row] == 0 else "holds NaN or an infinity"
        raise BadVector(
            f"{where}: the embedding of text {row + 1} of {count} from model {model!r} {fault}",
            hint="try the model with options num_gpu 0, or another quantisation of it",
        )
    if np.abs(norms - 1).max(initial=0.0) > UNIT_TOLERANCE:
        return np.ascontiguousarray((matrix / norms[:, None]).astype(np.float32))
    return matrix
