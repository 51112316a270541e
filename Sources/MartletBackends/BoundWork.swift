import MartletCore

/// Matrix work on memory that stays where it is, planned once and run many times with the bits of a
/// run by itself. Whoever keeps it keeps the memory.
package protocol BoundWork: AnyObject {
  func run(on pool: ThreadPool) throws(MartletError) -> Execution
}

extension Backends {
  /// `problem` for many runs on the same memory; nil for operands that are converted on the way.
  package static func bind(_ problem: GEMMProblem) throws(MartletError) -> (any BoundWork)? {
    guard problem.lhs.dtype == .float32 || problem.lhs.dtype == .bfloat16 else { return nil }
    try problem.validate()
    return try BoundProduct(problem)
  }

  /// `problem` for many runs on the same memory.
  package static func bind(
    _ problem: ConvolutionProblem, pool: ThreadPool
  ) throws(MartletError) -> any BoundWork {
    try problem.validate()
    return try BoundConvolution(problem, pool)
  }
}

private final class BoundProduct: BoundWork {
  private let problem: GEMMProblem
  private let panels: FloatProduct

  init(_ problem: GEMMProblem) throws(MartletError) {
    self.problem = problem
    panels = try FloatProduct(problem, kernels: Backends.native.kernels)
  }

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    // Another backend may have been asked for since.
    if try Backends.preferredBackend() != nil { return try Backends.run(problem, pool: pool) }
    if let execution = SmallProduct.run(problem, kernels: Backends.native.kernels, pool: pool) {
      return execution
    }
    return try panels.run(on: pool)
  }
}

private final class BoundConvolution: BoundWork {
  private let problem: ConvolutionProblem
  private var threads: Int
  private var route: ConvolutionRoute

  init(_ problem: ConvolutionProblem, _ pool: ThreadPool) throws(MartletError) {
    self.problem = problem
    threads = pool.threadCount
    route = try Backends.native.route(problem, pool: pool)
  }

  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    if try Backends.preferredBackend() != nil { return try Backends.convolve(problem, pool: pool) }
    if threads != pool.threadCount {
      route = try Backends.native.route(problem, pool: pool)
      threads = pool.threadCount
    }
    return try route.run(on: pool)
  }
}
