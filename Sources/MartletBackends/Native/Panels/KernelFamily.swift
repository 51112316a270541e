import MartletCore

/// How a right-hand matrix lies in panels; rows of equal layout read each other's packed matrices.
package struct PanelLayout: Sendable, Equatable, CustomStringConvertible {
  /// Of the panels' elements.
  package let dtype: DType
  /// Elements of K that lie together, and columns of a panel.
  package let kr: Int
  package let nr: Int

  package var description: String { "\(dtype) \(kr)x\(nr)" }
}

/// What is known of every row of the registry, whatever it multiplies.
protocol KernelFamily: AnyObject, Sendable {
  var name: String { get }
  /// The instruction set that it was written for.
  var isa: String { get }
  /// Of the right-hand matrices that it reads.
  var layout: PanelLayout { get }
  /// Of a tile at most, and the layout's kr.
  var mr: Int { get }
  var nr: Int { get }
  var kr: Int { get }
  /// Whether products need the sums of rhs' columns, which packing makes.
  var sumsColumns: Bool { get }
  /// Called on a thread before and after it calls tiles; see mk_gemm_row.
  var begin: (@convention(c) () -> Void)? { get }
  var end: (@convention(c) () -> Void)? { get }
}

extension KernelFamily {
  /// Panels that so many columns fill.
  func panels(_ columns: Int) -> Int { (columns + nr - 1) / nr }

  /// Bytes of one panel of `k` rows.
  func panelBytes(_ k: Int) -> Int {
    (k + kr - 1) / kr * kr * nr * layout.dtype.wholeByteCount
  }

  /// Runs `body`, which calls tiles on this thread.
  @inline(__always)
  func configured<Result>(_ body: () -> Result) -> Result {
    begin?()
    defer { end?() }
    return body()
  }
}
