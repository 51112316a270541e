import MartletBackends
import MartletCore

/// W and R of a recurrent layer, in the type of computation, packed once: constants for all runs,
/// others for one run where its steps are worth it.
struct RecurrentWeights: Sendable {
  private let prepared: PreparedConstants
  /// By input, those that are constants of 16 bits: in the type of computation.
  private let widened: [HeldForm<PreparedTensor>?]
  /// Of the constants: those of W by direction; those of R by direction and product.
  private let inputPanels: [PackedWeight]?
  private let statePanels: [PackedWeight]?
  private let products: [Range<Int>]

  init(_ node: OperatorNode, _ cell: RecurrentCell, directions: Int) {
    prepared = node.prepared
    products = cell.products
    var widened: [HeldForm<PreparedTensor>?] = [nil, nil, nil]
    for index in 1...2 {
      if let dtype = node.constant(index)?.dtype, dtype.computeType != dtype {
        widened[index] = HeldForm()
      }
    }
    self.widened = widened
    func panels(_ index: Int, _ count: Int) -> [PackedWeight]? {
      guard node.constant(index) != nil else { return nil }
      return (0..<count).map { _ in PackedWeight(node.prepared) }
    }
    inputPanels = panels(1, directions)
    statePanels = panels(2, directions * cell.products.count)
  }

  /// Makes all forms of the constants and gives those inputs whose elements runs then do not read.
  func prepare(
    _ inputs: [ValueType?], directions: Int, _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    var replaced: [Int] = []
    let context = RunContext(preparation.options)
    defer { withExtendedLifetime(context) {} }
    for index in 1...2 {
      guard let constant = inputs.type(index)?.constant, constant.rank == 3,
        constant.dtype.isFloatingPoint, constant.count > 0, constant.shape[0] == directions,
        index == 1 || constant.shape[1] == (products.last?.upperBound ?? 0) * constant.shape[2]
      else { continue }
      let tensor = try tensor(index, constant, context)
      var isPacked = true
      for direction in 0..<directions {
        let weights =
          index == 1
          ? [try input(tensor, direction: direction, context)]
          : try state(tensor, direction: direction, isReused: false, context)
        if weights.contains(where: { $0.packed == nil }) { isPacked = false }
      }
      if isPacked || widened[index] != nil { replaced.append(index) }
    }
    return replaced
  }

  /// `source`, which is input `index` (1 or 2), in the type of computation.
  func tensor(
    _ index: Int, _ source: Tensor, _ context: RunContext
  ) throws(MartletError) -> Tensor {
    let type = source.dtype.computeType
    guard let held = widened[index] else { return try context.converted(source, to: type) }
    let form = try held { () throws(MartletError) in
      try prepared.form("\(type)", of: source) { () throws(MartletError) in
        let wide = try Tensor(uninitialized: type, source.shape)
        try Casting.cast(source, into: wide, context.workspace)
        return PreparedTensor(wide)
      }
    }
    return form.tensor
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
      let packed =
        if let panels = statePanels?[direction * products.count + index] {
          try panels.matrix(matrix, mode: context.mode, pool: context.pool)
        } else if isReused {
          try PackedWeight.forOneRun(matrix, mode: context.mode, pool: context.pool)
        } else {
          PackedMatrix?.none
        }
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
