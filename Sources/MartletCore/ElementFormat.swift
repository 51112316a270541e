/// How the elements of a tensor are written: one by one in a dtype, or many together in blocks.
package enum ElementFormat: Sendable, Hashable {
  case plain(DType)
  case blocks(BlockFormat)
}

/// Elements that share something (a scale, a zero point) and are stored with it in one block of bytes.
///
/// Blocks run along the last axis; each row begins with a new one, and the last of a row is whole.
package struct BlockFormat: Sendable, Hashable {
  /// As files call it: `"Q4_0"`.
  package let name: String
  package let elements: Int
  package let bytes: Int

  /// Blocks of `elements` elements in `bytes` bytes, both at least 1.
  package init(name: String, elements: Int, bytes: Int) {
    precondition(elements > 0 && bytes > 0, "a block has elements and bytes")
    self.name = name
    self.elements = elements
    self.bytes = bytes
  }
}

extension Shape {
  /// Bytes of a tensor of this shape without gaps, rounded up to whole bytes; throws `invalidShape`
  /// when that does not fit, and for a negative extent or too many dimensions.
  package static func byteCount(
    _ shape: [Int], _ format: ElementFormat
  ) throws(MartletError) -> Int {
    let bytes: Int
    switch format {
    case .plain(let dtype): bytes = dtype.byteCount(of: try elementCount(shape))
    case .blocks(let block):
      _ = try elementCount(shape)
      var blocks = shape
      let row = shape.last ?? 1
      let perRow = row / block.elements + (row % block.elements == 0 ? 0 : 1)
      if shape.isEmpty { blocks = [perRow] } else { blocks[shape.count - 1] = perRow }
      let (product, overflow) = try elementCount(blocks).multipliedReportingOverflow(
        by: block.bytes)
      bytes = overflow ? .max : product
    }
    guard bytes < Int.max / 4 else { throw overflowError(shape) }
    return bytes
  }

  /// Bytes of a tensor of this shape and dtype; see `byteCount` of a format.
  package static func byteCount(_ shape: [Int], _ dtype: DType) throws(MartletError) -> Int {
    try byteCount(shape, .plain(dtype))
  }
}
