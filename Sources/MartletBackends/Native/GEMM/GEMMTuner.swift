import MartletCore
import MartletPlatform

/// Finds the fastest choice for a product by timing: every candidate runs twice uncounted and three
/// times counted, in turn with the others, and its best time counts.
package struct GEMMTuner {
  package struct Timing: Sendable {
    package var choice: GEMMChoice
    package var nanoseconds: Int64
    /// What runs untimed.
    package var isPlanned: Bool
  }

  package private(set) var shape: GEMMShape
  package let isa: String
  private let problem: GEMMProblem
  private let pool: ThreadPool
  private let kernels: KernelSet
  private let product: FloatProduct

  /// How much faster than the cost model's choice another must be to replace it.
  private static let margin = 0.97
  private static let skipped = 2
  private static let counted = 3

  /// - Throws: `invalidDType` unless the operands are f32 or bf16; what the product itself throws.
  package init(_ problem: GEMMProblem, pool: ThreadPool = .shared) throws(MartletError) {
    try self.init(problem, pool: pool, kernels: .current)
  }

  init(_ problem: GEMMProblem, pool: ThreadPool, kernels: KernelSet) throws(MartletError) {
    guard problem.lhs.dtype == .float32 || problem.lhs.dtype == .bfloat16 else {
      throw .dtype("tune", "lhs", expected: "float32 or bfloat16", actual: problem.lhs.dtype)
    }
    try problem.validate()
    self.kernels = kernels
    isa = kernels.name
    self.problem = problem
    self.pool = pool
    product = try FloatProduct(problem, kernels: kernels)
    shape = product.shape(threads: pool.threadCount)
  }

  /// The cost model's choice and others worth timing, none twice.
  package var candidates: [GEMMChoice] {
    let planned = product.plannedChoice(threads: shape.threads)
    var all = [planned]
    func add(_ change: (inout GEMMChoice) -> Void) {
      var choice = planned
      change(&choice)
      if !all.contains(choice) { all.append(choice) }
    }
    for route in product.routes(threads: shape.threads) where route != planned.route {
      add {
        $0 = product.plannedChoice(threads: shape.threads, route: route)
      }
    }
    for kc in [planned.kc / 2, planned.kc * 2, 64, 256, 512, 1024, 2048]
    where kc >= 16 && kc <= 2 * shape.k { add { $0.kc = kc } }
    for mc in [planned.mc / 2, planned.mc * 2] where mc >= 1 && mc <= 2 * shape.m {
      add {
        $0.mc = mc
        $0.rows = max($0.rows, min(mc, shape.m))
      }
    }
    for columns in [planned.columns / 2, planned.columns * 2, 128, 512, 1024, 4096]
    where columns >= 16 && columns <= 2 * shape.n { add { $0.columns = columns } }
    for rows in [planned.rows / 2, planned.rows * 2] where rows >= 1 && rows <= 2 * shape.m {
      add {
        $0.rows = rows
        $0.mc = min($0.mc, rows)
      }
    }
    let tallest = product.row.mr
    for tileRows in [planned.tileRows - 1, planned.tileRows - 2, tallest - tallest / 3, tallest]
    where tileRows >= 1 { add { $0.tileRows = tileRows } }
    return all
  }

  /// Times all candidates, the fastest first; `progress` learns how many runs are done of how many.
  package func measure(progress: (Int, Int) -> Void = { _, _ in }) throws(MartletError) -> [Timing]
  {
    let candidates = candidates
    var best = [Int64](repeating: .max, count: candidates.count)
    let rounds = GEMMTuner.skipped + GEMMTuner.counted
    for round in 0..<rounds {
      for (index, choice) in candidates.enumerated() {
        let backend = NativeBackend(kernels: kernels, forcing: choice)
        let start = mp_now_ns()
        _ = try backend.run(problem, pool: pool)
        let spent = mp_now_ns() - start
        if round >= GEMMTuner.skipped { best[index] = min(best[index], spent) }
        progress(round * candidates.count + index + 1, rounds * candidates.count)
      }
    }
    let timings = zip(candidates, best).enumerated().map { index, pair in
      Timing(choice: pair.0, nanoseconds: pair.1, isPlanned: index == 0)
    }
    return timings.sorted { $0.nanoseconds < $1.nanoseconds }
  }

  /// The choice to keep: the fastest, unless the cost model's is as good within 3%.
  package static func winner(_ timings: [Timing]) -> Timing? {
    guard let fastest = timings.first else { return nil }
    if let planned = timings.first(where: \.isPlanned),
      Double(fastest.nanoseconds) > Double(planned.nanoseconds) * margin
    {
      return planned
    }
    return fastest
  }
}
