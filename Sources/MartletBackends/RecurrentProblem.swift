import MartletCore

/// What a recurrent layer makes of a step's sums, gates in ONNX's order. Products between vectors are
/// element by element; `x` is the input's part of a gate and `h R` the state's.
package enum RecurrentCell: Sendable, Equatable {
  /// h = f(x + h R).
  case simple
  /// z, r = f(x + h R), n = g(x + (r h) R), h = (1 - z) n + z h; with `resetsProduct`
  /// n = g(x + r (h R + bias)).
  case gru(resetsProduct: Bool)
  /// i, o, f = f(x + h R + p c), g = g(x + h R), c = f c + i g, h = o h(c), o with the new c; with
  /// `couplesGates` f = 1 - i.
  case lstm(couplesGates: Bool)

  /// Gates of a row, each as wide as the state.
  package var gateCount: Int {
    switch self {
    case .simple: 1
    case .gru: 3
    case .lstm: 4
    }
  }

  /// Products of a step, as the columns of gates that each one has.
  package var products: [Range<Int>] {
    switch self {
    case .gru(resetsProduct: false): [0..<2, 2..<3]
    default: [0..<gateCount]
    }
  }

  /// How many functions the cell applies.
  package var activationCount: Int {
    switch self {
    case .simple: 1
    case .gru: 2
    case .lstm: 3
    }
  }
}

/// One direction of a recurrent layer, its inputs already multiplied by their weights.
///
/// All tensors are float32 or all are float64, and the last axis of each is contiguous; H is the
/// state's width, G the cell's number of gates.
package struct RecurrentProblem {
  /// The transposed weight of some gates, [H, columns of gates · H], and the same packed.
  package struct Weight {
    package var matrix: Tensor
    package var packed: PackedMatrix?
    /// What the integers of `matrix` mean, where it is int8 or uint8.
    package var quantization: Quantization?

    package init(matrix: Tensor, packed: PackedMatrix?, quantization: Quantization? = nil) {
      self.matrix = matrix
      self.packed = packed
      self.quantization = quantization
    }
  }

  /// A weight of integers, (q - zero) * scale. States are multiplied by it as uint8, each row quantised
  /// anew in each step by its own range, as DynamicQuantizeLinear has it.
  package struct Quantization {
    /// float32, one or one per column.
    package var scales: Tensor
    /// int32, as many.
    package var zeros: Tensor
    package var packed: PackedIntegerMatrix?

    package init(scales: Tensor, zeros: Tensor, packed: PackedIntegerMatrix?) {
      self.scales = scales
      self.zeros = zeros
      self.packed = packed
    }
  }

  package var cell: RecurrentCell
  /// Each of the cell's functions as functions applied one after another.
  package var activations: [[UnaryFunction]]
  /// What gates are clamped to, ± this, before their functions.
  package var clip: Float?
  /// Whether a row's steps run from its end to its beginning.
  package var isReverse = false
  /// Steps of each row, 0 ... the steps of `gates`; nil: all. A row of none ends in a state of zeros,
  /// whatever its first state, as ONNX Runtime has it.
  package var lengths: [Int]?
  /// [steps, batch, G·H]: the inputs' part of the gates with their biases.
  package var gates: Tensor
  /// One per range of `cell.products`.
  package var weights: [Weight]
  /// [H], added to the product that a GRU resets.
  package var productBias: Tensor?
  /// [3·H], of i, o and f.
  package var peepholes: Tensor?
  /// [batch, H], contiguous: the first state, which becomes the last.
  package var hidden: Tensor
  /// The same of an LSTM's cells.
  package var cells: Tensor?
  /// [steps, batch, H]: the state after each step, zeros beyond a row's length; nil: not wanted.
  package var output: Tensor?
  package var mode: MathMode

  package init(
    cell: RecurrentCell, activations: [[UnaryFunction]], gates: Tensor, weights: [Weight],
    hidden: Tensor, mode: MathMode
  ) {
    self.cell = cell
    self.activations = activations
    self.gates = gates
    self.weights = weights
    self.hidden = hidden
    self.mode = mode
  }
}

extension Backends {
  /// Runs all steps; nil where no row has any. Products are matrix work of the problem's mode;
  /// all else runs in the tensors' type. A row's result depends on that row alone.
  ///
  /// - Throws: `invalidShape` where the parts do not fit each other, `outOfMemory`.
  /// - Complexity: 2·steps·batch·G·H² floating-point operations; scratch for batch·G·H elements.
  package static func run(
    _ problem: RecurrentProblem, _ workspace: Workspace
  ) throws(MartletError) -> Execution? {
    if let backend = try preferredBackend(), let preferred = backend as? any RecurrentProvider {
      return try preferred.run(problem, workspace)
    }
    return try native.run(problem, workspace)
  }
}

extension RecurrentProblem {
  /// Throws where the loops would leave a tensor; operators have found and named a caller's faults
  /// before.
  func validate() throws(MartletError) {
    let shape = gates.shape
    let width = hidden.shape.last ?? 0
    let products = cell.products
    let dtype = gates.dtype
    let tensors = [productBias, peepholes, hidden, cells, output].compactMap { $0 }
    let fits =
      (dtype == .float32 || dtype == .float64) && tensors.allSatisfy { $0.dtype == dtype }
      && shape.count == 3 && shape[2] == cell.gateCount * width
      && ([gates] + tensors).allSatisfy { $0.strides.last == 1 || $0.shape.last == 1 }
      && hidden.shape == [shape[1], width] && hidden.isContiguous
      && (cells.map { $0.shape == hidden.shape && $0.isContiguous } ?? true)
      && (output.map { $0.shape == [shape[0], shape[1], width] } ?? true)
      && (peepholes.map { $0.shape == [3 * width] } ?? true)
      && (productBias.map { $0.shape == [width] } ?? true)
      && weights.count == products.count && activations.count == cell.activationCount
      && zip(weights, products).allSatisfy {
        $0.fits(dtype) && $0.matrix.shape == [width, $1.count * width]
      }
    let hasLengths =
      lengths.map { $0.count == shape[1] && $0.allSatisfy { 0...shape[0] ~= $0 } } ?? true
    let hasCells: Bool
    if case .lstm = cell { hasCells = cells != nil } else { hasCells = true }
    guard fits, hasLengths, hasCells else {
      throw MartletError(
        .invalidShape, "recurrent layer: gates \(Shape.text(shape)) and a state of \(width)")
    }
  }
}

extension RecurrentProblem.Weight {
  /// Whether the elements and what they mean fit a layer of `dtype`.
  fileprivate func fits(_ dtype: DType) -> Bool {
    guard let quantization else { return matrix.dtype == dtype }
    let counts = [1, matrix.shape.last ?? 0]
    return dtype == .float32 && (matrix.dtype == .int8 || matrix.dtype == .uint8)
      && quantization.scales.dtype == .float32 && quantization.zeros.dtype == .int32
      && quantization.scales.isContiguous && quantization.zeros.isContiguous
      && counts.contains(quantization.scales.count) && counts.contains(quantization.zeros.count)
  }
}
