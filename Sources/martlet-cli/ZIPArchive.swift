import MartletCore

/// The files in a ZIP archive, as NumPy's `.npz` are; and how such an archive is written.
///
/// Source: PKWARE's APPNOTE 6.3.10, as far as ZIP64 and DEFLATE.
struct ZIPArchive {
  struct Entry {
    let name: String
    fileprivate let isCompressed: Bool
    fileprivate let checksum: UInt32
    /// In the archive, and uncompressed.
    fileprivate let size: Int
    let byteCount: Int
    fileprivate let headerOffset: Int
  }

  let entries: [Entry]
  private let storage: Storage
  private var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount)
  }

  /// Whether bytes are a ZIP archive's, by their mark.
  static func recognizes(_ storage: Storage) -> Bool {
    let head = UnsafeRawBufferPointer(start: storage.base, count: min(4, storage.byteCount))
    return head.elementsEqual([0x50, 0x4B, 3, 4]) || head.elementsEqual([0x50, 0x4B, 5, 6])
  }

  static func malformed(_ what: String) -> MartletError {
    MartletError(.invalidModel, "malformed ZIP archive: \(what)")
  }

  // MARK: - Reading

  /// Reads the list of files. Throws `invalidModel`.
  init(_ storage: Storage) throws(MartletError) {
    self.storage = storage
    let reader = Reader(storage)
    // The record at the end has a comment of at most 65,535 bytes behind it.
    var end = storage.byteCount - 22
    let lowest = max(0, end - 65_535)
    while end >= lowest, reader.number(end, 4) != 0x0605_4B50 { end -= 1 }
    guard end >= lowest else { throw ZIPArchive.malformed("it has no list of its files") }
    var count = reader.number(end + 10, 2) ?? 0
    var offset = reader.number(end + 16, 4) ?? 0
    if count == 0xFFFF || offset == 0xFFFF_FFFF, reader.number(end - 20, 4) == 0x0706_4B50,
      let record = reader.number(end - 12, 8), reader.number(record, 4) == 0x0606_4B50
    {
      count = reader.number(record + 32, 8) ?? 0
      offset = reader.number(record + 48, 8) ?? 0
    }
    guard count <= storage.byteCount / 46 else { throw ZIPArchive.malformed("too many files") }
    var entries: [Entry] = []
    for _ in 0..<count {
      guard let (entry, next) = try ZIPArchive.entry(reader, at: offset) else {
        throw ZIPArchive.malformed("the list of its files is cut off")
      }
      entries.append(entry)
      offset = next
    }
    self.entries = entries
  }

  private static func entry(_ reader: Reader, at offset: Int) throws(MartletError) -> (
    Entry, next: Int
  )? {
    guard reader.number(offset, 4) == 0x0201_4B50, let flags = reader.number(offset + 8, 2),
      let method = reader.number(offset + 10, 2), let checksum = reader.number(offset + 16, 4),
      var size = reader.number(offset + 20, 4), var byteCount = reader.number(offset + 24, 4),
      let nameCount = reader.number(offset + 28, 2), let extraCount = reader.number(offset + 30, 2),
      let commentCount = reader.number(offset + 32, 2),
      var headerOffset = reader.number(offset + 42, 4),
      let name = reader.text(offset + 46, nameCount)
    else { return nil }
    guard flags & 1 == 0 else {
      throw MartletError(.unsupported, "'\(name)' in the ZIP archive is encrypted")
    }
    guard method == 0 || method == 8 else {
      throw MartletError(
        .unsupported, "'\(name)' in the ZIP archive is compressed by method \(method)",
        expected: "0 (stored) or 8 (DEFLATE)", actual: "\(method)")
    }
    // ZIP64: what does not fit stands in this order in the extra field 1.
    var extra = offset + 46 + nameCount
    let extraEnd = extra + extraCount
    while extra + 4 <= extraEnd, let kind = reader.number(extra, 2),
      let length = reader.number(extra + 2, 2)
    {
      if kind == 1 {
        var field = extra + 4
        func wide(_ value: inout Int) {
          guard value == 0xFFFF_FFFF else { return }
          value = reader.number(field, 8) ?? -1
          field += 8
        }
        wide(&byteCount)
        wide(&size)
        wide(&headerOffset)
      }
      extra += 4 + length
    }
    guard size >= 0, byteCount >= 0, headerOffset >= 0 else { return nil }
    let entry = Entry(
      name: name, isCompressed: method == 8, checksum: UInt32(truncatingIfNeeded: checksum),
      size: size, byteCount: byteCount, headerOffset: headerOffset)
    return (entry, extraEnd + commentCount)
  }

  /// The bytes of a file. Throws `invalidModel` where they are damaged, and `outOfMemory`.
  func contents(_ entry: Entry) throws(MartletError) -> Storage {
    let reader = Reader(storage)
    guard reader.number(entry.headerOffset, 4) == 0x0403_4B50,
      let nameCount = reader.number(entry.headerOffset + 26, 2),
      let extraCount = reader.number(entry.headerOffset + 28, 2)
    else { throw ZIPArchive.malformed("'\(entry.name)' is not where its list says") }
    let start = entry.headerOffset + 30 + nameCount + extraCount
    guard start <= bytes.count, entry.size <= bytes.count - start,
      entry.isCompressed || entry.size == entry.byteCount,
      // DEFLATE makes 1,032 bytes of one at most.
      entry.byteCount / 1040 <= entry.size
    else { throw ZIPArchive.malformed("'\(entry.name)' is cut off") }
    let result = try Storage(byteCount: entry.byteCount)
    let source = UnsafeRawBufferPointer(rebasing: bytes[start..<start + entry.size])
    let target = UnsafeMutableRawBufferPointer(start: result.base, count: entry.byteCount)
    if entry.isCompressed {
      try Inflate.decompress(source, into: target)
    } else {
      target.copyMemory(from: source)
    }
    guard ZIPArchive.checksum(UnsafeRawBufferPointer(target)) == entry.checksum else {
      throw ZIPArchive.malformed("'\(entry.name)' is damaged: its checksum is another")
    }
    return result
  }

  /// Little-endian numbers of a buffer; nil outside.
  private struct Reader {
    let storage: Storage
    init(_ storage: Storage) { self.storage = storage }

    func number(_ offset: Int, _ count: Int) -> Int? {
      guard offset >= 0, offset <= storage.byteCount - count else { return nil }
      let bytes = UnsafeRawBufferPointer(start: storage.base + offset, count: count)
      let value = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      return Int(exactly: value)
    }

    func text(_ offset: Int, _ count: Int) -> String? {
      guard offset >= 0, offset <= storage.byteCount - count else { return nil }
      return String(
        decoding: UnsafeRawBufferPointer(start: storage.base + offset, count: count), as: UTF8.self)
    }
  }

  /// CRC-32 of IEEE 802.3, on from that of what came before.
  static func checksum(_ bytes: UnsafeRawBufferPointer, after previous: UInt32 = 0) -> UInt32 {
    var value = ~previous
    for byte in bytes {
      value = table[Int(UInt8(truncatingIfNeeded: value) ^ byte)] ^ (value >> 8)
    }
    return ~value
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1
    }
  }

  // MARK: - Writing

  /// Writes files, uncompressed, one after another; the sizes need no seeking, so a pipe will do.
  struct Writer {
    private let file: OpenFile
    private var list: [UInt8] = []
    private var count = 0

    init(_ file: OpenFile) { self.file = file }

    /// Adds a file of these parts.
    mutating func add(_ name: String, _ parts: [UnsafeRawBufferPointer]) throws(MartletError) {
      let checksum = parts.reduce(UInt32(0)) { ZIPArchive.checksum($1, after: $0) }
      let size = UInt64(parts.reduce(0) { $0 + $1.count })
      let offset = UInt64(file.position)
      let name = Array(name.utf8)
      // Version 4.5: ZIP64; names in UTF-8; 1 January 1980, so that equal arrays are equal files.
      let middle =
        field(45, 2) + field(0x800, 2) + field(0, 2) + field(0, 2) + field(0x21, 2)
        + field(UInt64(checksum), 4) + field(0xFFFF_FFFF, 4) + field(0xFFFF_FFFF, 4)
        + field(UInt64(name.count), 2)
      let sizes = field(size, 8) + field(size, 8)
      try file.write(
        field(0x0403_4B50, 4) + middle + field(20, 2) + name + field(1, 2) + field(16, 2) + sizes)
      for part in parts { try file.write(part) }
      list += field(0x0201_4B50, 4) + field(45, 2) + middle + field(28, 2) + field(0, 2)
      list += field(0, 2) + field(0, 2) + field(0, 4) + field(0xFFFF_FFFF, 4) + name
      list += field(1, 2) + field(24, 2) + sizes + field(offset, 8)
      count += 1
    }

    /// Writes the list of files. The file stays open.
    func finish() throws(MartletError) {
      let start = UInt64(file.position)
      let number = field(UInt64(count), 8)
      try file.write(list)
      let end = UInt64(file.position)
      let record = field(UInt64(list.count), 8) + field(start, 8)
      try file.write(
        field(0x0606_4B50, 4) + field(44, 8) + field(45, 2) + field(45, 2) + field(0, 8) + number
          + number + record)
      try file.write(field(0x0706_4B50, 4) + field(0, 4) + field(end, 8) + field(1, 4))
      try file.write(
        field(0x0605_4B50, 4) + field(0, 4) + field(0xFFFF, 2) + field(0xFFFF, 2)
          + field(0xFFFF_FFFF, 4) + field(0xFFFF_FFFF, 4) + field(0, 2))
    }

    private func field(_ value: UInt64, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }
  }
}
