import MartletCore

/// One operand of attention by head: element (b, h, i, e) of a float32 array, strides in elements.
///
/// Strides may be zero or negative. The memory must outlive the call.
package struct HeadsView {
  package var pointer: UnsafeMutablePointer<Float>
  package var batchStride: Int
  package var headStride: Int
  package var rowStride: Int
  package var columnStride: Int

  package init(
    _ pointer: UnsafeMutablePointer<Float>, batchStride: Int, headStride: Int, rowStride: Int,
    columnStride: Int = 1
  ) {
    self.pointer = pointer
    self.batchStride = batchStride
    self.headStride = headStride
    self.rowStride = rowStride
    self.columnStride = columnStride
  }

  func row(_ batch: Int, _ head: Int, _ row: Int) -> UnsafeMutablePointer<Float> {
    pointer + (batch * batchStride + head * headStride + row * rowStride)
  }
}

/// What attention adds to its scores or hides of them, by batch, query head, query and key. Keys are
/// contiguous; other strides, in elements, are zero where the mask is broadcast.
package struct AttentionMaskView {
  package enum Kind: Sendable { case added, shown }

  /// float32 that is added, or bytes of which zero hides.
  package var kind: Kind
  package var pointer: UnsafeRawPointer
  package var batchStride: Int
  package var headStride: Int
  package var rowStride: Int

  package init(
    _ kind: Kind, _ pointer: UnsafeRawPointer, batchStride: Int, headStride: Int, rowStride: Int
  ) {
    self.kind = kind
    self.pointer = pointer
    self.batchStride = batchStride
    self.headStride = headStride
    self.rowStride = rowStride
  }

  var elementBytes: Int { kind == .added ? 4 : 1 }

  func row(_ batch: Int, _ head: Int, _ row: Int) -> UnsafeRawPointer {
    pointer + (batch * batchStride + head * headStride + row * rowStride) * elementBytes
  }

  /// Whether it hides all of these keys of a row.
  func hides(_ keys: Range<Int>, _ batch: Int, _ head: Int, _ row: Int) -> Bool {
    let line = self.row(batch, head, row)
    switch kind {
    case .added:
      let values = line.assumingMemoryBound(to: Float.self)
      return keys.allSatisfy { values[$0] == -.infinity }
    case .shown:
      let flags = line.assumingMemoryBound(to: UInt8.self)
      return keys.allSatisfy { flags[$0] == 0 }
    }
  }
}

/// What a query gives whose weights are no numbers.
package enum EmptyAttention: Sendable {
  /// Zero where the query sees no key, whatever is in what it does not see; NaN where a score is NaN.
  case zero
  /// NaN in both cases, as the softmax of nothing but -Inf.
  case nan
  /// Zero in both cases.
  case alwaysZero
}

/// dst = softmax(cap(scale * query @ key^T) + mask) @ value by head, float32.
///
/// query [B, Hq, L, E], key [B, Hk, T, E], value [B, Hk, T, Ev], dst [B, Hq, L, Ev]; Hq is a multiple
/// of Hk, and query head h reads key head h / (Hq / Hk). cap(x) is softcap * tanh(x / softcap) where
/// softcap > 0. A query that sees no key gives what `empty` says; without keys (T = 0) the result is zero. dst's columns are contiguous and it overlaps no input.
package struct AttentionProblem {
  package var batch: Int
  package var queryHeads: Int
  package var keyHeads: Int
  package var queries: Int
  package var keys: Int
  package var width: Int
  package var valueWidth: Int
  package var query: HeadsView
  package var key: HeadsView
  package var value: HeadsView
  package var dst: HeadsView
  package var scale: Float
  package var softcap: Float = 0
  package var mask: AttentionMaskView?
  package var visible = VisibleKeys()
  package var empty = EmptyAttention.zero
  package var mode: MathMode

  package init(
    batch: Int, queryHeads: Int, keyHeads: Int, queries: Int, keys: Int, width: Int,
    valueWidth: Int, query: HeadsView, key: HeadsView, value: HeadsView, dst: HeadsView,
    scale: Float, mode: MathMode
  ) {
    self.batch = batch
    self.queryHeads = queryHeads
    self.keyHeads = keyHeads
    self.queries = queries
    self.keys = keys
    self.width = width
    self.valueWidth = valueWidth
    self.query = query
    self.key = key
    self.value = value
    self.dst = dst
    self.scale = scale
    self.mode = mode
  }

  /// Query heads that read one key head.
  var group: Int { keyHeads == 0 ? 0 : queryHeads / keyHeads }

  /// As `VisibleKeys` has them.
  func limit(_ batch: Int, _ row: Int) -> Int { visible.limit(batch, row, of: keys) }
  func hidden(_ batch: Int, _ row: Int) -> Int { visible.hidden(batch, row, of: keys) }
  func window(_ batch: Int, _ row: Int) -> Range<Int> { visible.range(batch, row, of: keys) }

  /// Throws `invalidShape` for what no backend can run.
  func validate() throws(MartletError) {
    let extents = [batch, queryHeads, keyHeads, queries, keys, width, valueWidth]
    guard extents.allSatisfy({ $0 >= 0 }) else {
      throw MartletError(.invalidShape, "attention: an extent is negative")
    }
    guard keyHeads == 0 ? queryHeads == 0 : queryHeads % keyHeads == 0 else {
      throw .shape(
        "attention", "query heads", expected: "a multiple of \(keyHeads)", actual: "\(queryHeads)")
    }
    let perBatch = [("key lengths", visible.lengths), ("batch offsets", visible.batchOffsets)]
    for (name, values) in perBatch {
      guard let values, values.count != batch else { continue }
      throw .shape("attention", name, expected: "[\(batch)]", actual: "[\(values.count)]")
    }
    guard dst.columnStride == 1 || valueWidth <= 1 else {
      throw MartletError(.invalidShape, "attention: dst's columns are not contiguous")
    }
  }
}

extension Backends {
  /// Attends.
  ///
  /// - Throws: `invalidShape`, `outOfMemory`.
  /// - Complexity: 2·B·Hq·L·T·(E + Ev) floating-point operations, half of it where it is causal; scratch
  ///   for a block of keys and values and the results of some queries, never for the score matrix.
  package static func attend(
    _ problem: AttentionProblem, pool: ThreadPool = .shared
  ) throws(MartletError) -> Execution {
    if let backend = try preferredBackend(), let preferred = backend as? any AttentionProvider {
      return try preferred.attend(problem, pool: pool)
    }
    return try native.attend(problem, pool: pool)
  }
}
