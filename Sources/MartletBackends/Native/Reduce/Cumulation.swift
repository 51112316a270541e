import MartletCore

/// Running sums and products along one axis, one after the other in the axis' order.
package enum Cumulation {
  /// dst[o, j, i] = the sum (or product) of src[o, ...j, i]; `exclusive` leaves out j itself,
  /// `reverse` runs from the end. Both contiguous and of one dtype (no 16-bit float).
  package static func run(
    _ src: Tensor, outer: Int, extent: Int, inner: Int, exclusive: Bool, reverse: Bool,
    isProduct: Bool, into dst: Tensor, _ workspace: Workspace
  ) {
    guard dst.count > 0 else { return }
    let (from, to) = (src.pointer, dst.pointer)
    let perChunk = max(1, (1 << 14) / max(extent * inner, 1))
    workspace.pool.parallelFor((outer + perChunk - 1) / perChunk) { chunk in
      src.dtype.visit(
        Running(
          blocks: chunk * perChunk..<min((chunk + 1) * perChunk, outer), extent: extent,
          inner: inner, exclusive: exclusive, reverse: reverse, isProduct: isProduct, src: from,
          dst: to))
    }
  }
}

private struct Running: ElementVisitor {
  let blocks: Range<Int>
  let extent: Int
  let inner: Int
  let exclusive: Bool
  let reverse: Bool
  let isProduct: Bool
  let src: UnsafeMutableRawPointer
  let dst: UnsafeMutableRawPointer

  func visit<T: Element>(_: T.Type) {
    for block in blocks {
      let values = src.assumingMemoryBound(to: T.self) + block * extent * inner
      let out = dst.assumingMemoryBound(to: T.self) + block * extent * inner
      for step in 0..<extent {
        let line = (reverse ? extent - 1 - step : step) * inner
        if step == 0 {
          let first = isProduct ? T.one : T.zero
          for i in 0..<inner { out[line + i] = exclusive ? first : values[line + i] }
          continue
        }
        let before = reverse ? line + inner : line - inner
        let (next, last, result) = (values + (exclusive ? before : line), out + before, out + line)
        if isProduct {
          for i in 0..<inner { result[i] = T.product(last[i], next[i]) }
        } else {
          for i in 0..<inner { result[i] = T.sum(last[i], next[i]) }
        }
      }
    }
  }
}
