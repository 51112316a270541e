import MartletCore

extension ReferenceBackend: RecurrentProvider {
  /// The layer by its definition in float64, a row after the other.
  package func run(
    _ problem: RecurrentProblem, _ workspace: Workspace
  ) throws(MartletError) -> Execution? {
    try problem.validate()
    if problem.weights.contains(where: { $0.quantization != nil }) {
      return try Backends.native.run(problem, workspace)
    }
    let rounds =
      roundsToBF16 && problem.mode.permitsBF16 && problem.gates.dtype == .float32
    let layer = ReferenceLayer(problem, rounds: rounds)
    for row in 0..<layer.batch { layer.run(row) }
    let hasSteps = (0..<layer.batch).contains { layer.length($0) > 0 }
    return hasSteps ? execution(rounds: rounds, problem.mode) : nil
  }
}

/// One direction of a layer, with what a step reads as float64.
private struct ReferenceLayer {
  private let problem: RecurrentProblem
  private let steps: Int
  let batch: Int
  private let width: Int
  /// Whether products read states and weights rounded to bf16.
  private let rounds: Bool
  /// [H, columns] of each product.
  private let weights: [[Double]]
  private let productBias: [Double]?
  private let peepholes: [Double]?

  init(_ problem: RecurrentProblem, rounds: Bool) {
    self.problem = problem
    self.rounds = rounds
    steps = problem.gates.shape[0]
    batch = problem.gates.shape[1]
    width = problem.hidden.shape[1]
    weights = problem.weights.map { weight in
      weight.matrix.numbers.map { rounds ? BFloat16.rounded($0) : $0 }
    }
    productBias = problem.productBias?.numbers
    peepholes = problem.peepholes?.numbers
  }

  func length(_ row: Int) -> Int { problem.lengths?[row] ?? steps }

  /// Runs all steps of a row and writes its states and outputs.
  func run(_ row: Int) {
    let length = length(row)
    // A row without steps ends in a state of zeros.
    let none = [Double](repeating: 0, count: width)
    var hidden = length > 0 ? problem.hidden.line([row]) : none
    var cells = length > 0 ? problem.cells?.line([row]) ?? none : none
    for time in length..<steps { problem.output?.setLine([time, row], none) }
    for step in 0..<length {
      let time = problem.isReverse ? length - 1 - step : step
      self.step(problem.gates.line([time, row]), &hidden, &cells)
      problem.output?.setLine([time, row], hidden)
    }
    problem.hidden.setLine([row], hidden)
    problem.cells?.setLine([row], cells)
  }

  private func step(_ x: [Double], _ h: inout [Double], _ c: inout [Double]) {
    func input(_ gate: Int, _ j: Int) -> Double { x[gate * width + j] }
    let before = h
    let sums = product(0, before)
    switch problem.cell {
    case .simple:
      for j in 0..<width { h[j] = apply(0, input(0, j) + sums[j]) }
    case .gru(let resetsProduct):
      let update = (0..<width).map { apply(0, input(0, $0) + sums[$0]) }
      let reset = (0..<width).map { apply(0, input(1, $0) + sums[width + $0]) }
      let fresh =
        resetsProduct
        ? (0..<width).map { reset[$0] * (sums[2 * width + $0] + (productBias?[$0] ?? 0)) }
        : product(1, (0..<width).map { reset[$0] * before[$0] })
      for j in 0..<width {
        h[j] = (1 - update[j]) * apply(1, input(2, j) + fresh[j]) + update[j] * before[j]
      }
    case .lstm(let couplesGates):
      for j in 0..<width {
        func sum(_ gate: Int) -> Double { input(gate, j) + sums[gate * width + j] }
        func peep(_ gate: Int) -> Double { (peepholes?[gate * width + j] ?? 0) * c[j] }
        let i = apply(0, sum(0) + peep(0))
        let f = couplesGates ? 1 - i : apply(0, sum(2) + peep(2))
        c[j] = f * c[j] + i * apply(1, sum(3))
        h[j] = apply(0, sum(1) + peep(1)) * function(2, c[j])
      }
    }
  }

  /// state @ the weight of product `index`.
  private func product(_ index: Int, _ state: [Double]) -> [Double] {
    let columns = problem.cell.products[index].count * width
    let state = rounds ? state.map(BFloat16.rounded) : state
    return (0..<columns).map { column in
      var sum = 0.0
      for k in 0..<width { sum += state[k] * weights[index][k * columns + column] }
      return sum
    }
  }

  /// The cell's function `index` of a gate, clamped before where the layer clips.
  private func apply(_ index: Int, _ value: Double) -> Double {
    guard let clip = problem.clip else { return function(index, value) }
    return function(index, UnaryFunction.clamp(-clip, clip).apply(value))
  }

  private func function(_ index: Int, _ value: Double) -> Double {
    problem.activations[index].reduce(value) { $1.apply($0) }
  }
}

extension RecurrentProblem {
  /// Whatever a pointer is taken of.
  var tensors: [Tensor] {
    [gates, hidden] + weights.map(\.matrix)
      + [productBias, peepholes, cells, output].compactMap { $0 }
      + weights.compactMap(\.quantization).flatMap { [$0.scales, $0.zeros] }
  }
}

extension Tensor {
  /// The elements of a float32 or float64 tensor, row-major.
  fileprivate var numbers: [Double] {
    if rank == 1 { return line([]) }
    return (0..<shape[0]).flatMap { line([$0]) }
  }

  /// The last axis at `indices` of the others.
  fileprivate func line(_ indices: [Int]) -> [Double] {
    let start = zip(indices, strides).reduce(0) { $0 + $1.0 * $1.1 }
    let step = strides[rank - 1]
    return (0..<shape[rank - 1]).map { index in
      let offset = start + index * step
      return dtype == .float64 ? typed(Double.self)[offset] : Double(typed(Float.self)[offset])
    }
  }

  fileprivate func setLine(_ indices: [Int], _ values: [Double]) {
    let start = zip(indices, strides).reduce(0) { $0 + $1.0 * $1.1 }
    for (index, value) in values.enumerated() {
      let offset = start + index * strides[rank - 1]
      if dtype == .float64 {
        typed(Double.self)[offset] = value
      } else {
        typed(Float.self)[offset] = Float(value)
      }
    }
  }
}
