import MartletBackends
import MartletCore

/// W and R of a recurrent layer, in the type of computation, packed once: constants for all runs,
/// others for one run where its steps are worth it.
struct RecurrentWeights: Sendable {
  private let constants: [Tensor?]
  /// Of the constants: those of W by direction; those of R by direction and product.
  private let inputPanels: [PackedWeight]?
  private let statePanels: [PackedWeight]?
  private let products: [Range<Int>]

  /// Constants of 16 bits are widened here, so that no run has to.
  init(
    _ node: OperatorNode, _ cell: RecurrentCell, directions: Int
  ) throws(MartletError) {
    products = cell.products
    let workspace = Workspace(pool: .shared, memory: RunMemory())
    var constants: [Tensor?] = [nil, nil, nil]
    for index in 1...2 {
      guard let constant = node.constant(index), constant.dtype.isFloatingPoint else { continue }
      constants[index] = try workspace.converted(constant, to: constant.dtype.computeType)
    }
    self.constants = constants
    inputPanels = constants[1].map { _ in (0..<directions).map { _ in PackedWeight() } }
    let parts = directions * cell.products.count
    statePanels = constants[2].map { _ in (0..<parts).map { _ in PackedWeight() } }
  }

  /// Input `index` (1 or 2) in the type of computation.
  func tensor(_ index: Int, _ inputs: Inputs, _ context: RunContext) throws(MartletError)
    -> Tensor
  {
    if let constant = constants[index] { return constant }
    let tensor = try inputs.required(index)
    return try context.converted(tensor, to: tensor.dtype.computeType)
  }

  /// The transposed weight [input, G·H] of a direction.
  func input(
    _ weight: Tensor, direction: Int, _ context: RunContext
  ) throws(MartletError) -> RecurrentProblem.Weight {
    let matrix = weight.selected(axis: 0, direction).matrixTransposed
    let packed = try inputPanels?[direction].matrix(
      matrix, mode: context.mode, pool: context.pool)
    return RecurrentProblem.Weight(matrix: matrix, packed: packed)
  }

  /// The transposed weights [H, columns] of a direction, one for each product of a step.
  func state(
    _ weight: Tensor, direction: Int, isReused: Bool, _ context: RunContext
  ) throws(MartletError) -> [RecurrentProblem.Weight] {
    let whole = weight.selected(axis: 0, direction)
    let width = whole.shape[1]
    var weights: [RecurrentProblem.Weight] = []
    for (index, columns) in products.enumerated() {
      let matrix = whole.sliced(
        axis: 0, start: columns.lowerBound * width, count: columns.count * width, step: 1
      ).matrixTransposed
      let panels =
        statePanels?[direction * products.count + index] ?? (isReused ? PackedWeight() : nil)
      let packed = try panels?.matrix(matrix, mode: context.mode, pool: context.pool)
      weights.append(RecurrentProblem.Weight(matrix: matrix, packed: packed))
    }
    return weights
  }
}

extension Tensor {
  /// Index `index` of `axis`, which goes.
  func selected(axis: Int, _ index: Int) -> Tensor {
    let slice = sliced(axis: axis, start: index, count: 1, step: 1)
    var (shape, strides) = (slice.shape, slice.strides)
    shape.remove(at: axis)
    strides.remove(at: axis)
    return Tensor(
      unchecked: slice.storage, dtype: dtype, shape: shape, strides: strides,
      byteOffset: slice.byteOffset)
  }
}
