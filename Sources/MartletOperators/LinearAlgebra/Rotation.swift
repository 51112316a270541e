import MartletBackends
import MartletCore

/// The turn of each head's pairs by the angles of their positions: (x1, x2) to
/// (cos x1 - sin x2, sin x1 + cos x2), pairs being halves of the turned part or neighbours.
struct Rotation {
  /// [batch, sequence, 1, half].
  let cosine: Tensor
  let sine: Tensor
  let half: Int
  let isInterleaved: Bool

  /// Turns the first 2 · half elements of each head of `source`, [batch, sequence, heads, size], into
  /// `target`; the others are copied.
  func apply(
    _ source: Tensor, into target: Tensor, _ context: RunContext
  ) throws(MartletError) {
    let parts = [pair(source, 0), pair(source, 1)]
    let places = [pair(target, 0), pair(target, 1)]
    let workspace = context.workspace
    for (place, (a, b, isSum)) in zip(places, [(cosine, sine, false), (sine, cosine, true)]) {
      let first = try context.scratch(source.dtype, parts[0].shape)
      let second = try context.scratch(source.dtype, parts[0].shape)
      try Elementwise.binary(.mul, parts[0], a, into: first, workspace)
      try Elementwise.binary(.mul, parts[1], b, into: second, workspace)
      try Elementwise.binary(isSum ? .add : .sub, first, second, into: first, workspace)
      Copying.copy(first, into: place, workspace)
    }
    let rest = source.shape[3] - 2 * half
    Copying.copy(
      source.sliced(axis: 3, start: 2 * half, count: rest, step: 1),
      into: target.sliced(axis: 3, start: 2 * half, count: rest, step: 1), workspace)
  }

  /// The same into memory of its own.
  func applied(to source: Tensor, _ context: RunContext) throws(MartletError) -> Tensor {
    let target = try context.scratch(source.dtype, source.shape)
    try apply(source, into: target, context)
    return target
  }

  /// One element of each pair: the halves of the turned part, or every other element.
  private func pair(_ x: Tensor, _ index: Int) -> Tensor {
    x.sliced(
      axis: 3, start: half == 0 ? 0 : (isInterleaved ? index : index * half), count: half,
      step: isInterleaved ? 2 : 1)
  }
}
