import MartletCore
import MartletKernels

/// What trees compare: float32 or float64, with the nodes and the walks of that type.
protocol TreeValue: RealElement {
  associatedtype Node: BitwiseCopyable, Sendable

  /// A node that compares as `node`, whose threshold this type has exactly, does.
  static func node(_ node: mk_tree_node_f64) -> Node

  static func flags(_ node: Node) -> UInt32

  /// The leaf of one tree that each of `rows` rows comes to.
  static func walk(
    _ nodes: UnsafePointer<Node>, root: UInt32, _ x: UnsafePointer<Self>, columns: Int, rows: Int,
    mayHaveNaN: Bool, _ leaves: UnsafeMutablePointer<UInt32>)

  /// The leaf of each of `trees` trees that one row comes to.
  static func walk(
    _ nodes: UnsafePointer<Node>, roots: UnsafePointer<UInt32>, trees: Int,
    _ x: UnsafePointer<Self>, mayHaveNaN: Bool, _ leaves: UnsafeMutablePointer<UInt32>)

  /// Adds the weight of leaf i to sum i.
  static func add(
    _ nodes: UnsafePointer<Node>, _ leaves: UnsafePointer<UInt32>, _ count: Int,
    to sums: UnsafeMutablePointer<Double>)

  /// `sum` and the weights of all leaves, one after the other.
  static func sum(
    _ nodes: UnsafePointer<Node>, _ leaves: UnsafePointer<UInt32>, _ count: Int, _ sum: Double
  ) -> Double

  static func hasNaN(_ x: UnsafePointer<Self>, rows: Int, columns: Int) -> Bool
}

extension TreeValue {
  /// < t is <= the next value below it; below the least there is none.
  static func threshold(_ node: mk_tree_node_f64) -> Self {
    let threshold = Self(node.threshold)
    guard node.flags & ForestBuilder.strict != 0 else { return threshold }
    return threshold == -.infinity ? .nan : threshold.nextDown
  }
}

extension Float: TreeValue {
  typealias Node = mk_tree_node_f32

  static func node(_ node: mk_tree_node_f64) -> mk_tree_node_f32 {
    mk_tree_node_f32(
      threshold: threshold(node), feature: node.feature, child: node.child, flags: node.flags)
  }

  static func flags(_ node: mk_tree_node_f32) -> UInt32 { node.flags }

  static func walk(
    _ nodes: UnsafePointer<mk_tree_node_f32>, root: UInt32, _ x: UnsafePointer<Float>, columns: Int,
    rows: Int, mayHaveNaN: Bool, _ leaves: UnsafeMutablePointer<UInt32>
  ) { mk_tree_rows_f32(nodes, root, x, Int64(columns * 4), Int64(rows), mayHaveNaN, leaves) }

  static func walk(
    _ nodes: UnsafePointer<mk_tree_node_f32>, roots: UnsafePointer<UInt32>, trees: Int,
    _ x: UnsafePointer<Float>, mayHaveNaN: Bool, _ leaves: UnsafeMutablePointer<UInt32>
  ) { mk_tree_row_f32(nodes, roots, Int64(trees), x, mayHaveNaN, leaves) }

  static func add(
    _ nodes: UnsafePointer<mk_tree_node_f32>, _ leaves: UnsafePointer<UInt32>, _ count: Int,
    to sums: UnsafeMutablePointer<Double>
  ) { mk_tree_add_f32(nodes, leaves, Int64(count), sums) }

  static func sum(
    _ nodes: UnsafePointer<mk_tree_node_f32>, _ leaves: UnsafePointer<UInt32>, _ count: Int,
    _ sum: Double
  ) -> Double { mk_tree_sum_f32(nodes, leaves, Int64(count), sum) }

  static func hasNaN(_ x: UnsafePointer<Float>, rows: Int, columns: Int) -> Bool {
    mk_tree_nan_f32(x, Int64(columns * 4), Int64(rows), Int64(columns))
  }
}

extension Double: TreeValue {
  typealias Node = mk_tree_node_f64

  static func node(_ node: mk_tree_node_f64) -> mk_tree_node_f64 {
    mk_tree_node_f64(
      threshold: threshold(node), feature: node.feature, child: node.child, flags: node.flags)
  }

  static func flags(_ node: mk_tree_node_f64) -> UInt32 { node.flags }

  static func walk(
    _ nodes: UnsafePointer<mk_tree_node_f64>, root: UInt32, _ x: UnsafePointer<Double>,
    columns: Int, rows: Int, mayHaveNaN: Bool, _ leaves: UnsafeMutablePointer<UInt32>
  ) { mk_tree_rows_f64(nodes, root, x, Int64(columns * 8), Int64(rows), mayHaveNaN, leaves) }

  static func walk(
    _ nodes: UnsafePointer<mk_tree_node_f64>, roots: UnsafePointer<UInt32>, trees: Int,
    _ x: UnsafePointer<Double>, mayHaveNaN: Bool, _ leaves: UnsafeMutablePointer<UInt32>
  ) { mk_tree_row_f64(nodes, roots, Int64(trees), x, mayHaveNaN, leaves) }

  static func add(
    _ nodes: UnsafePointer<mk_tree_node_f64>, _ leaves: UnsafePointer<UInt32>, _ count: Int,
    to sums: UnsafeMutablePointer<Double>
  ) { mk_tree_add_f64(nodes, leaves, Int64(count), sums) }

  static func sum(
    _ nodes: UnsafePointer<mk_tree_node_f64>, _ leaves: UnsafePointer<UInt32>, _ count: Int,
    _ sum: Double
  ) -> Double { mk_tree_sum_f64(nodes, leaves, Int64(count), sum) }

  static func hasNaN(_ x: UnsafePointer<Double>, rows: Int, columns: Int) -> Bool {
    mk_tree_nan_f64(x, Int64(columns * 8), Int64(rows), Int64(columns))
  }
}
