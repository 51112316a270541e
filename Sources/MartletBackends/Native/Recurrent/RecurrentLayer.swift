import MartletCore

extension NativeBackend {
  func run(
    _ problem: RecurrentProblem, _ workspace: Workspace
  ) throws(MartletError) -> Execution? {
    try problem.validate()
    if problem.gates.dtype == .float64 {
      return try RecurrentLayer(problem, DoubleRows(problem)).run(workspace)
    }
    return try RecurrentLayer(problem, FloatRows(problem)).run(workspace)
  }
}

/// The walk over a layer's steps: each one's product of the states and the weights, then the cells row
/// by row. Nothing is allocated and nothing planned anew from one step to the next.
struct RecurrentLayer<Rows: RecurrentRows> {
  private typealias Scalar = Rows.Scalar

  /// Owns what the places point into.
  private let problem: RecurrentProblem
  private let lengths: [Int]?
  private let cells: RecurrentCells<Rows>
  private let steps: Int
  private let batch: Int
  private let width: Int
  private let gates: Place<Scalar>
  private let output: Place<Scalar>?
  private let hidden: UnsafeMutablePointer<Scalar>
  private let cellStates: UnsafeMutablePointer<Scalar>?

  /// `problem` has been checked.
  init(_ problem: RecurrentProblem, _ rows: Rows) {
    self.problem = problem
    lengths = problem.lengths
    steps = problem.gates.shape[0]
    batch = problem.gates.shape[1]
    width = problem.hidden.shape[1]
    gates = Place(problem.gates)
    output = problem.output.map { Place($0) }
    hidden = problem.hidden.typed(Scalar.self)
    cellStates = problem.cells?.typed(Scalar.self)
    cells = RecurrentCells(
      rows: rows, width: width,
      peepholes: problem.peepholes.map { UnsafePointer($0.typed(Scalar.self)) },
      productBias: problem.productBias.map { UnsafePointer($0.typed(Scalar.self)) })
  }

  func run(_ workspace: Workspace) throws(MartletError) -> Execution? {
    let gateCount = problem.cell.gateCount
    let dtype = problem.gates.dtype
    let sums = try workspace.scratch(dtype, [batch, gateCount * width])
    let usesReset = problem.cell == .gru(resetsProduct: false)
    let reset = usesReset ? try workspace.scratch(dtype, [batch, width]) : nil
    var products: [StepProduct] = []
    for (index, columns) in problem.cell.products.enumerated() {
      let lhs = index == 0 ? problem.hidden : reset ?? problem.hidden
      let weight = problem.weights[index]
      if let quantization = weight.quantization {
        let first = sums.sliced(
          axis: 1, start: columns.lowerBound * width, count: columns.count * width, step: 1)
        products.append(
          .integers(
            try QuantizedProduct(lhs, weight.matrix, quantization, into: first, workspace)))
      } else {
        products.append(.floats(RepeatedProduct(product(index, columns, lhs: lhs, sums: sums))))
      }
    }
    let sumsStride = gateCount * width
    let (sumsStart, resetStart) = (sums.typed(Scalar.self), reset?.typed(Scalar.self))
    var count = batch
    for step in 0..<steps {
      while count > 0, length(count - 1) <= step { count -= 1 }
      if count == 0 { break }
      for index in products.indices {
        try products[index].run(rows: count, workspace.pool)
        forEachRow(count, of: step, workspace.pool) { row, time in
          finish(
            RecurrentRow(
              x: UnsafePointer(gates.at(time, row)), sums: sumsStart + row * sumsStride,
              hidden: hidden + row * width, cells: cellStates.map { $0 + row * width },
              reset: resetStart.map { $0 + row * width }, output: output?.at(time, row)),
            product: index)
        }
      }
    }
    clear()
    return products.first?.execution
  }

  /// What follows product `index` of a step.
  private func finish(_ row: RecurrentRow<Scalar>, product index: Int) {
    switch problem.cell {
    case .simple: cells.simple(row)
    case .lstm(let couplesGates): cells.lstm(row, couplesGates: couplesGates)
    case .gru(resetsProduct: true): cells.gruResettingProduct(row)
    case .gru(resetsProduct: false):
      if index == 0 { cells.gruResettingState(row) } else { cells.gruFinish(row) }
    }
  }

  private func product(
    _ index: Int, _ columns: Range<Int>, lhs: Tensor, sums: Tensor
  ) -> GEMMProblem {
    let weight = problem.weights[index]
    let dtype = sums.dtype
    var product = GEMMProblem(
      m: batch, n: columns.count * width, k: width,
      lhs: MatrixView(lhs.pointer, dtype, rowStride: width),
      rhs: MatrixView(
        weight.matrix.pointer, dtype, rowStride: weight.matrix.strides[0],
        columnStride: weight.matrix.strides[1]),
      dst: MatrixView(
        sums.pointer + columns.lowerBound * width * dtype.wholeByteCount, dtype,
        rowStride: sums.strides[0]),
      mode: problem.mode)
    product.packedRHS = weight.packed
    return product
  }

  private func length(_ row: Int) -> Int { lengths?[row] ?? steps }

  /// Elements of gates that one thread takes at a time.
  private static var grain: Int { 1 << 13 }

  /// Calls `body` with each of the first `count` rows that has this step, and its time.
  private func forEachRow(
    _ count: Int, of step: Int, _ pool: ThreadPool, _ body: (Int, Int) -> Void
  ) {
    func visit(_ row: Int) {
      let length = length(row)
      if step < length { body(row, problem.isReverse ? length - 1 - step : step) }
    }
    let perChunk = max(1, Self.grain / (problem.cell.gateCount * width))
    if count <= perChunk {
      for row in 0..<count { visit(row) }
    } else {
      pool.parallelFor((count + perChunk - 1) / perChunk) { chunk in
        for row in chunk * perChunk..<min((chunk + 1) * perChunk, count) { visit(row) }
      }
    }
  }

  /// Zeros beyond the rows' lengths, and in the states of rows without a step.
  private func clear() {
    guard let lengths else { return }
    for (row, length) in lengths.enumerated() where length < steps {
      for time in length..<steps { output?.at(time, row).update(repeating: 0, count: width) }
      guard length == 0 else { continue }
      (hidden + row * width).update(repeating: 0, count: width)
      cellStates.map { ($0 + row * width).update(repeating: 0, count: width) }
    }
  }
}

/// Where a tensor [steps, batch, elements] has the elements of a step and a row.
private struct Place<Scalar> {
  private let start: UnsafeMutablePointer<Scalar>
  private let timeStride: Int
  private let rowStride: Int

  init(_ tensor: Tensor) {
    start = tensor.typed(Scalar.self)
    (timeStride, rowStride) = (tensor.strides[0], tensor.strides[1])
  }

  func at(_ time: Int, _ row: Int) -> UnsafeMutablePointer<Scalar> {
    start + (time * timeStride + row * rowStride)
  }
}

/// The product of a step.
private enum StepProduct {
  case floats(RepeatedProduct)
  case integers(QuantizedProduct)

  mutating func run(rows: Int, _ pool: ThreadPool) throws(MartletError) {
    switch self {
    case .floats(var product):
      try product.run(rows: rows, pool)
      self = .floats(product)
    case .integers(var product):
      try product.run(rows: rows, pool)
      self = .integers(product)
    }
  }

  /// What the first one ran as.
  var execution: Execution? {
    switch self {
    case .floats(let product): product.execution
    case .integers(let product): product.execution
    }
  }
}

/// The product of a step: planned anew only where the number of rows changes.
private struct RepeatedProduct {
  private var problem: GEMMProblem
  private var prepared: SmallProduct.Prepared?
  private var preparedRows = 0
  /// What the first one ran as.
  private(set) var execution: Execution?

  init(_ problem: GEMMProblem) { self.problem = problem }

  mutating func run(rows: Int, _ pool: ThreadPool) throws(MartletError) {
    if rows != preparedRows {
      problem.m = rows
      preparedRows = rows
      prepared = try Backends.prepare(problem, pool: pool)
      if execution == nil { execution = prepared?.execution }
    }
    guard prepared == nil else {
      prepared?.run()
      return
    }
    let ran = try Backends.run(problem, pool: pool)
    if execution == nil { execution = ran }
  }
}
