import Glibc
import MartletCore
import ONNXFixtures
import Testing

@testable import MartletImport

@Suite struct MappedFileTests {
  /// Bytes of the mapping at `address` that are in memory.
  private func residentBytes(_ address: UnsafeRawPointer) throws -> Int {
    let file = try #require(fopen("/proc/self/smaps", "r"))
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 4096)
    var isInside = false
    while fgets(&line, 4096, file) != nil {
      let text = String(
        decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
      let first = text.split(separator: " ").first ?? ""
      let bounds = first.split(separator: "-").map { UInt($0, radix: 16) }
      if bounds.count == 2, let low = bounds[0], let high = bounds[1] {
        isInside = (low..<high).contains(UInt(bitPattern: address))
      } else if isInside, first == "Rss:" {
        return 1024 * (Int(text.split(separator: " ")[1]) ?? 0)
      }
    }
    return 0
  }

  @Test("pages that were let go take no memory until they are read again, as they were")
  func letGo() throws {
    let directory = TemporaryDirectory()
    let bytes = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
    let file = try MappedFile(path: directory.write("bytes", bytes))
    #expect(file.storage.isMappedFile)
    let mapped = UnsafeRawBufferPointer(start: file.storage.base, count: bytes.count)
    #expect(mapped.elementsEqual(bytes))
    #expect(try residentBytes(file.storage.base) == bytes.count)
    file.storage.letGo(of: 100..<bytes.count - 100)
    #expect(try residentBytes(file.storage.base) <= 16 * 4096)
    #expect(mapped.elementsEqual(bytes))
  }

  @Test("memory that is no file's is not let go")
  func owned() throws {
    let storage = try Storage(byteCount: 1 << 20)
    memset(storage.base, 7, 1 << 20)
    storage.letGo(of: 0..<1 << 20)
    #expect(storage.base.load(fromByteOffset: 500_000, as: UInt8.self) == 7)
  }
}
