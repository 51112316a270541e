import MartletBackends
import MartletCore

/// One run's tensors in the type of computation, and where its results go.
struct RecurrentCall {
  /// Of computation.
  let dtype: DType
  let steps: Int
  let width: Int
  let isBatchFirst: Bool
  /// X as it came and as a matrix, [steps · batch, input] in X's order of steps and batch.
  let x: Tensor
  let rows: Tensor
  /// [directions, batch, H], the first states, which become the last.
  let hidden: Tensor
  let cells: Tensor?
  /// Y in the type of computation.
  let y: Tensor
  /// [directions, 3·H].
  let peepholes: Tensor?
  private let biases: Tensor?
  private let resultType: DType
  private let outputCount: Int

  /// `shapes` are those of `inputs`, checked.
  init(
    _ inputs: Inputs, _ shapes: RecurrentShapes, _ attributes: RecurrentAttributes,
    outputCount: Int, hasCells: Bool, _ context: RunContext
  ) throws(MartletError) {
    let (steps, batch, input, width) = try shapes.numbers()
    self.steps = steps
    self.width = width
    self.outputCount = outputCount
    isBatchFirst = attributes.isBatchFirst
    x = try inputs.required(0)
    let (resultType, dtype) = (x.dtype, x.dtype.computeType)
    self.resultType = resultType
    self.dtype = dtype
    func prepared(_ index: Int) throws(MartletError) -> Tensor? {
      guard let tensor = inputs.optional(index) else { return nil }
      return try context.contiguous(try context.converted(tensor, to: dtype))
    }
    let matrix = [x.shape[0] * x.shape[1], input]
    rows = try context.contiguous(try context.converted(x, to: dtype)).reshaped(matrix)
    biases = try prepared(3)
    peepholes = hasCells ? try prepared(7) : nil
    let directions = attributes.directions
    let isBatchFirst = attributes.isBatchFirst
    func output(_ index: Int, _ shape: [Int], inPlace: Bool) throws(MartletError) -> Tensor {
      inPlace && index < outputCount && dtype == resultType
        ? try context.output(index, dtype, shape) : try context.scratch(dtype, shape)
    }
    func state(_ index: Int, output result: Int) throws(MartletError) -> Tensor {
      let state = try output(result, [directions, batch, width], inPlace: !isBatchFirst)
      guard let first = inputs.optional(index) else {
        Copying.zero(state)
        return state
      }
      let wide = try context.converted(first, to: dtype)
      Copying.copy(
        isBatchFirst ? try wide.permuted([1, 0, 2]) : wide, into: state, context.workspace)
      return state
    }
    hidden = try state(5, output: 1)
    cells = hasCells ? try state(6, output: 2) : nil
    y = try output(
      0, isBatchFirst ? [batch, steps, directions, width] : [steps, directions, batch, width],
      inPlace: true)
  }

  /// The biases of W and then of R, [2·G·H].
  func bias(_ direction: Int) -> Tensor? { biases?.selected(axis: 0, direction) }

  /// A tensor whose first axes are steps and batch in X's order, steps first.
  func stepMajor(_ tensor: Tensor) throws(MartletError) -> Tensor {
    isBatchFirst ? try tensor.permuted([1, 0, 2]) : tensor
  }

  /// Y, Y_h and Y_c as far as they are outputs.
  func deliver(_ context: RunContext) throws(MartletError) {
    context.deliver(try context.finish(y, as: resultType))
    for (index, state) in [hidden, cells].enumerated() {
      guard let state, index + 1 < outputCount else { continue }
      context.deliver(try result(state, output: index + 1, context))
    }
  }

  private func result(
    _ state: Tensor, output index: Int, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    guard isBatchFirst else { return try context.finish(state, as: resultType, output: index) }
    let turned = try state.permuted([1, 0, 2])
    let result = try context.output(index, resultType, turned.shape)
    try Casting.cast(turned, into: result, context.workspace)
    return result
  }
}
