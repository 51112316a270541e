import MartletCore

/// Products of float64 and of integers in plain loops: row by row, each row of dst growing by one
/// row of rhs per step of k. Integers wrap around.
struct PlainProduct {
  private let problem: GEMMProblem
  private let fold: BatchFold

  init(_ problem: GEMMProblem) throws(MartletError) {
    self.problem = problem
    fold = BatchFold(problem)
    guard problem.packedRHS == nil else {
      throw MartletError(
        .invalidDType, "matmul: a packed rhs is f32 or bf16, not \(problem.lhs.dtype)")
    }
    let epilogue = problem.epilogue
    let isPlain =
      epilogue.alpha == 1 && epilogue.columnBias == nil && epilogue.rowBias == nil
      && epilogue.residual == nil && epilogue.activation == nil
    guard isPlain || problem.lhs.dtype == .float64 else {
      throw MartletError(
        .unsupported, "matmul: products of \(problem.lhs.dtype) take no epilogue")
    }
  }

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    let name: String
    switch problem.lhs.dtype {
    case .float64: (name, _) = ("fp64", multiply(Double.self, pool, +, *))
    case .int8: (name, _) = ("int8", multiply(Int8.self, pool, &+, &*))
    case .int16: (name, _) = ("int16", multiply(Int16.self, pool, &+, &*))
    case .int32: (name, _) = ("int32", multiply(Int32.self, pool, &+, &*))
    case .int64: (name, _) = ("int64", multiply(Int64.self, pool, &+, &*))
    case .uint8: (name, _) = ("uint8", multiply(UInt8.self, pool, &+, &*))
    case .uint16: (name, _) = ("uint16", multiply(UInt16.self, pool, &+, &*))
    case .uint32: (name, _) = ("uint32", multiply(UInt32.self, pool, &+, &*))
    case .uint64: (name, _) = ("uint64", multiply(UInt64.self, pool, &+, &*))
    default:
      throw .dtype("matmul", "lhs", expected: "float64 or an integer", actual: problem.lhs.dtype)
    }
    return Execution(backend: "native", kernel: "plain loops", precision: name)
  }

  @inline(__always)
  private func multiply<Element: Numeric & SIMDScalar>(
    _: Element.Type, _ pool: ThreadPool, _ add: (Element, Element) -> Element,
    _ times: (Element, Element) -> Element
  ) {
    let problem = fold.problem
    let rows = problem.m * fold.count
    guard rows > 0, problem.n > 0 else { return }
    func runRow(_ index: Int) {
      let (matrix, i) = index.quotientAndRemainder(dividingBy: problem.m)
      let offsets = fold.offsets(matrix)
      let lhs =
        problem.lhs.pointer.assumingMemoryBound(to: Element.self)
        + (offsets.lhs + i * problem.lhs.rowStride)
      let rhs = problem.rhs.pointer.assumingMemoryBound(to: Element.self) + offsets.rhs
      let dst =
        problem.dst.pointer.assumingMemoryBound(to: Element.self)
        + (offsets.dst + i * problem.dst.rowStride)
      let sums = UnsafeMutablePointer<Element>.allocate(capacity: problem.n)
      defer { sums.deallocate() }
      sums.initialize(repeating: 0, count: problem.n)
      for p in 0..<problem.k {
        let factor = lhs[p * problem.lhs.columnStride]
        let line = rhs + p * problem.rhs.rowStride
        if problem.rhs.columnStride == 1 {
          for j in 0..<problem.n { sums[j] = add(sums[j], times(factor, line[j])) }
        } else {
          for j in 0..<problem.n {
            sums[j] = add(sums[j], times(factor, line[j * problem.rhs.columnStride]))
          }
        }
      }
      if let doubles = sums as? UnsafeMutablePointer<Double> {
        applyEpilogue(doubles, i: i, residualOffset: offsets.residual)
      }
      dst.update(from: sums, count: problem.n)
    }
    if rows * problem.n * max(problem.k, 1) < GEMMPlan.serialWork {
      for index in 0..<rows { runRow(index) }
    } else {
      pool.parallelFor(rows, runRow)
    }
  }

  private func applyEpilogue(
    _ sums: UnsafeMutablePointer<Double>, i: Int, residualOffset: Int
  ) {
    let problem = fold.problem
    for j in 0..<problem.n {
      sums[j] = problem.epilogue.apply(
        sums[j], i: i, j: j, residualOffset: residualOffset)
    }
  }
}

extension Epilogue {
  /// The epilogue of one element in float64; `residualOffset` is that of the batch, in elements.
  func apply(_ sum: Double, i: Int, j: Int, residualOffset: Int) -> Double {
    var value = Double(alpha) * sum
    if let columnBias { value += Double(columnBias[j]) }
    if let rowBias { value += Double(rowBias[i]) }
    if let residual {
      let index = residualOffset + i * residual.rowStride + j * residual.columnStride
      let element = residual.pointer.assumingMemoryBound(to: Float.self)[index]
      value += Double(beta) * Double(element)
    }
    return activation?.apply(value) ?? value
  }
}
