import MartletBackends
import MartletCore

/// Coefficients of an estimator as a matrix [rows, columns], in float32 as the file has them and, once a
/// run asks for it, in float64. Both belong to the operator.
final class EstimatorWeights: Sendable {
  let rows: Int
  let columns: Int
  private let single: Tensor
  private let double = Lock<Tensor?>(nil)

  /// The caller has checked that `values` has so many elements.
  init(_ values: [Float], rows: Int, columns: Int) throws(MartletError) {
    self.rows = rows
    self.columns = columns
    single = try Tensor(uninitialized: .float32, [rows, columns])
    for (index, value) in values.prefix(single.count).enumerated() {
      single.typed(Float.self)[index] = value
    }
  }

  /// Of float32 or float64.
  func matrix(_ dtype: DType) throws(MartletError) -> Tensor {
    if dtype == .float32 { return single }
    if let known = double.withLock({ $0 }) { return known }
    let wide = try Tensor(uninitialized: .float64, [rows, columns])
    for index in 0..<wide.count {
      wide.typed(Double.self)[index] = Double(single.typed(Float.self)[index])
    }
    double.withLock { $0 = wide }
    return wide
  }

  /// dst [x.rows, rows], contiguous and of x's dtype: rows of features times each row of coefficients.
  func multiply(
    _ x: Tensor, into dst: Tensor, operatorName: String, _ context: RunContext
  ) throws(MartletError) {
    try MatrixProduct(operatorName, lhs: x, rhs: try matrix(x.dtype).matrixTransposed)
      .run(into: dst, context)
  }
}

extension RunContext {
  /// Runs `body` for ranges of `count` rows that take about `nanoseconds` each, on as many threads as
  /// are worth it.
  func forEachRange(_ count: Int, nanoseconds: Int, _ body: (Range<Int>) -> Void) {
    guard count > 0 else { return }
    let each = max(nanoseconds, 1)
    let (work, isLong) = count.multipliedReportingOverflow(by: each)
    let threads = pool.threadCount(forNanoseconds: isLong ? .max : work)
    guard threads > 1 else { return body(0..<count) }
    let size = max(1, min(count / (4 * threads), 200_000 / each + 1))
    pool.parallelFor((count + size - 1) / size) { chunk in
      body(chunk * size..<min((chunk + 1) * size, count))
    }
  }
}
