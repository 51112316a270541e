/// Which keys the queries of attention may see, but for the mask: all, unless something is said.
package struct VisibleKeys: Sendable {
  /// Query i sees keys up to i + this.
  package var causalOffset: Int?
  /// Query i sees keys from i + this on.
  package var windowOffset: Int?
  /// Per batch, what is added to both offsets.
  package var batchOffsets: [Int]?
  /// Per batch, how many keys there are to see.
  package var lengths: [Int]?

  package init() {}

  /// How many of the first of `keys` keys query `row` of `batch` may see, where no window hides them.
  func limit(_ batch: Int, _ row: Int, of keys: Int) -> Int {
    let length = min(max(lengths?[batch] ?? keys, 0), keys)
    guard let causalOffset else { return length }
    return min(max(place(batch, row, causalOffset.addingClamped(1)), 0), length)
  }

  /// How many of the first `limit` keys lie before the query's window.
  func hidden(_ batch: Int, _ row: Int, of keys: Int) -> Int {
    guard let windowOffset else { return 0 }
    return min(max(place(batch, row, windowOffset), 0), limit(batch, row, of: keys))
  }

  /// The keys that query `row` of `batch` may see.
  package func range(_ batch: Int, _ row: Int, of keys: Int) -> Range<Int> {
    hidden(batch, row, of: keys)..<limit(batch, row, of: keys)
  }

  private func place(_ batch: Int, _ row: Int, _ offset: Int) -> Int {
    (batchOffsets?[batch] ?? 0).addingClamped(offset).addingClamped(row)
  }
}

extension Int {
  /// The sum, or the number nearest to it.
  package func addingClamped(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : sum
  }
}
