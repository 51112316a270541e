import MartletCore

/// The kind of a protobuf field's payload.
enum WireType: UInt8 {
  case varint = 0
  case fixed64 = 1
  case bytes = 2
  case fixed32 = 5
}

/// The head of one field: its number and how its payload is coded.
struct WireField {
  let number: Int
  let type: WireType
  /// Where its tag stands, in bytes from the start of the model.
  let offset: Int
}

/// Reads one protobuf message in place, checking every step; errors name the message, the field and
/// the byte.
///
/// The storage must outlive the reader; the reader keeps it alive.
/// Source: protobuf.dev, "Encoding".
struct WireReader {
  let storage: Storage
  private(set) var position: Int
  let end: Int
  /// What is being read, for messages: `graph.node[3]`.
  let path: String
  private let base: UnsafeRawPointer

  init(_ storage: Storage, _ range: Range<Int>, path: String) {
    self.storage = storage
    self.position = range.lowerBound
    self.end = range.upperBound
    self.path = path
    self.base = UnsafeRawPointer(storage.base)
  }

  /// The next field's head, or nil at the message's end.
  mutating func next() throws(MartletError) -> WireField? {
    guard position < end else { return nil }
    try MemoryReserve.check()
    let offset = position
    let tag = try varint()
    guard tag >> 3 != 0, tag >> 3 < 1 << 29 else {
      throw error("field number \(tag >> 3) is out of range", at: offset)
    }
    guard let type = WireType(rawValue: UInt8(tag & 7)) else {
      throw error("field \(tag >> 3) has unknown wire type \(tag & 7)", at: offset)
    }
    return WireField(number: Int(tag >> 3), type: type, offset: offset)
  }

  /// Skips the payload of a field that means nothing here.
  mutating func skip(_ field: WireField) throws(MartletError) {
    switch field.type {
    case .varint: _ = try varint()
    case .fixed64: try advance(8, of: field)
    case .fixed32: try advance(4, of: field)
    case .bytes: _ = try bytes(field)
    }
  }

  // MARK: - Payloads

  mutating func varint() throws(MartletError) -> UInt64 {
    var result: UInt64 = 0
    var shift: UInt64 = 0
    let start = position
    while position < end {
      let byte = base.load(fromByteOffset: position, as: UInt8.self)
      position += 1
      if shift == 63 && byte > 1 { break }
      result |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return result }
      shift += 7
      guard shift < 64 else { break }
    }
    throw error(
      position >= end ? "truncated number" : "a number longer than 64 bits", at: start)
  }

  mutating func integer(_ field: WireField) throws(MartletError) -> Int {
    try expect(.varint, field)
    return Int(Int64(bitPattern: try varint()))
  }

  mutating func float(_ field: WireField) throws(MartletError) -> Float {
    try expect(.fixed32, field)
    let start = position
    try advance(4, of: field)
    return Float(
      bitPattern: UInt32(
        littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
  }

  /// The range of a length-delimited payload, within the message.
  mutating func bytes(_ field: WireField) throws(MartletError) -> Range<Int> {
    try expect(.bytes, field)
    let length = try varint()
    guard length <= UInt64(end - position) else {
      throw error(
        "field \(field.number) says it has \(length) bytes, but only \(end - position) remain",
        at: field.offset)
    }
    let start = position
    position += Int(length)
    return start..<position
  }

  /// A name: UTF-8, and without a NUL, behind which C would not see it.
  mutating func string(_ field: WireField) throws(MartletError) -> String {
    let range = try bytes(field)
    let buffer = UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    guard let text = String(validating: buffer, as: UTF8.self) else {
      throw error("field \(field.number) is not valid UTF-8 text", at: field.offset)
    }
    guard !buffer.contains(0) else {
      throw error("field \(field.number) is a name with a NUL in it", at: field.offset)
    }
    return text
  }

  /// Text that may hold any bytes; what is not UTF-8 is replaced.
  mutating func text(_ field: WireField) throws(MartletError) -> String {
    let range = try bytes(field)
    return String(
      decoding: UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count),
      as: UTF8.self)
  }

  /// A reader of the message that a length-delimited field holds.
  mutating func message(_ field: WireField, _ name: String) throws(MartletError) -> WireReader {
    WireReader(storage, try bytes(field), path: path.isEmpty ? name : path + "." + name)
  }

  /// Appends the integers of a repeated field, packed or not.
  mutating func integers(_ field: WireField, into values: inout [Int]) throws(MartletError) {
    guard field.type == .bytes else {
      values.append(try integer(field))
      return
    }
    var packed = WireReader(storage, try bytes(field), path: path)
    while packed.position < packed.end {
      values.append(Int(Int64(bitPattern: try packed.varint())))
    }
  }

  /// Appends the floats of a repeated field, packed or not.
  mutating func floats(_ field: WireField, into values: inout [Float]) throws(MartletError) {
    guard field.type == .bytes else {
      values.append(try float(field))
      return
    }
    let range = try bytes(field)
    guard range.count % 4 == 0 else {
      throw error(
        "field \(field.number) has \(range.count) bytes of floats, not a multiple of 4",
        at: field.offset)
    }
    for offset in stride(from: range.lowerBound, to: range.upperBound, by: 4) {
      values.append(
        Float(
          bitPattern: UInt32(
            littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))))
    }
  }

  /// Copies the payload bytes at `range` to `destination`.
  func copy(_ range: Range<Int>, to destination: UnsafeMutableRawPointer) {
    destination.copyMemory(from: base + range.lowerBound, byteCount: range.count)
  }

  /// The eight bytes of a fixed64 field.
  mutating func double(_ field: WireField) throws(MartletError) -> Double {
    try expect(.fixed64, field)
    let start = position
    try advance(8, of: field)
    return Double(
      bitPattern: UInt64(
        littleEndian: base.loadUnaligned(fromByteOffset: start, as: UInt64.self)))
  }

  /// `invalidModel` at a byte of the file.
  func error(_ what: String, at offset: Int? = nil) -> MartletError {
    let place = path.isEmpty ? "the model" : path
    return MartletError(.invalidModel, "\(place): \(what) (at byte \(offset ?? position))")
  }

  // MARK: - Steps

  private func expect(_ type: WireType, _ field: WireField) throws(MartletError) {
    guard field.type == type else {
      throw error(
        "field \(field.number) is coded as \(field.type), expected \(type)", at: field.offset)
    }
  }

  private mutating func advance(_ count: Int, of field: WireField) throws(MartletError) {
    guard end - position >= count else {
      throw error(
        "field \(field.number) needs \(count) bytes, but only \(end - position) remain",
        at: field.offset)
    }
    position += count
  }
}
