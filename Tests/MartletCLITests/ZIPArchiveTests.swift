import MartletCore
import ONNXFixtures
import Testing

@testable import martlet_cli

@Suite struct ZIPArchiveTests {
  /// What zlib makes of `plain`: a block of each kind.
  private static let compressed = [
    (
      "dynamic",
      "edce8111c420080030540a8aa2a0d4fd47fd3dfe9a0902099b65c5a38db9cd7816eece5890c721e7"
        + "6b43ba3ad4cd7709138b410bc9c7e6b428fdf6bc555a9fa70c5082e37e80579ecf6b53a75f5ae8ad"
        + "dc0840d98fd71c6e1e590ec7a09c52617deb3b1e881389f40a2c214412cb23ad5a00bee017fcefe0"
        + "0f", 900
    ),
    (
      "fixed",
      "636064e11460e26511e6e56467e7e41361e56711e26667616661e7116613641713e0e1e2e61564e0"
        + "106217e3e7626763e71260e014e1621216e0e3131061e616e36612e2e5e2e4e61366e661e0656310"
        + "1614146660e767e2631515e0e3e5131463e36711e4641613116160e1126215e460121114101461e2"
        + "126617e1616362646466e715e510e561651011166164e315e362e0e762636161e31260e261e4e760"
        + "66601875e0a80387b70301", 900
    ),
    (
      "stored",
      "012800d7ff0001040910020d04130d090707090e14050f04120b07040304070c1306110716100c0a"
        + "0b0d110008", 40
    ),
  ]

  private func plain(_ count: Int) -> [UInt8] {
    (0..<count).map { (index: Int) -> UInt8 in UInt8((index * index + index / 7) % 23) }
  }

  private static func bytes(_ hexadecimal: String) -> [UInt8] {
    var (bytes, half) = ([UInt8](), UInt8?.none)
    for digit in hexadecimal {
      let value = UInt8(digit.hexDigitValue ?? 0)
      if let high = half { bytes.append(high << 4 | value) }
      half = half == nil ? value : nil
    }
    return bytes
  }

  private func inflated(_ bytes: [UInt8], _ count: Int) throws(MartletError) -> [UInt8] {
    var (result, failure) = ([UInt8](repeating: 0xEE, count: count), MartletError?.none)
    result.withUnsafeMutableBytes { output in
      bytes.withUnsafeBytes { input in
        do throws(MartletError) { try Inflate.decompress(input, into: output) } catch {
          failure = error
        }
      }
    }
    if let failure { throw failure }
    return result
  }

  @Test(arguments: ZIPArchiveTests.compressed)
  func `what zlib compressed comes back`(kind: String, hexadecimal: String, count: Int) throws {
    #expect(try inflated(ZIPArchiveTests.bytes(hexadecimal), count) == plain(count))
  }

  @Test(arguments: ZIPArchiveTests.compressed)
  func `damaged data is an error, or has another checksum`(
    kind: String, hexadecimal: String, count: Int
  ) {
    let whole = ZIPArchiveTests.bytes(hexadecimal)
    for length in 0..<whole.count {
      #expect(throws: MartletError.self) { try inflated(Array(whole[..<length]), count) }
    }
    for index in whole.indices {
      for bit in 0..<8 {
        var bytes = whole
        bytes[index] ^= 1 << bit
        _ = try? inflated(bytes, count)
      }
    }
    for wrong in [0, count - 1, count + 1] {
      #expect(throws: MartletError.self) { try inflated(whole, wrong) }
    }
  }

  private func archive(_ files: [(String, [UInt8])]) throws -> Storage {
    let folder = TemporaryDirectory()
    let file = try OpenFile(writing: folder.path + "/a.zip")
    var writer = ZIPArchive.Writer(file)
    for (name, bytes) in files {
      try bytes.withUnsafeBytes { bytes in
        try writer.add(
          name,
          [
            UnsafeRawBufferPointer(rebasing: bytes.prefix(3)),
            UnsafeRawBufferPointer(rebasing: bytes.dropFirst(3)),
          ])
      }
    }
    try writer.finish()
    try file.close()
    return try OpenFile(reading: folder.path + "/a.zip").rest()
  }

  private func contents(_ archive: ZIPArchive, _ index: Int) throws -> [UInt8] {
    guard archive.entries.indices.contains(index) else {
      throw MartletError(.invalidModel, "a file is missing")
    }
    let storage = try archive.contents(archive.entries[index])
    return Array(UnsafeRawBufferPointer(start: storage.base, count: storage.byteCount))
  }

  @Test func `files come back as they were written`() throws {
    let archive = try ZIPArchive(
      archive([("a.npy", plain(100)), ("grüße", []), ("c", plain(7))]))
    #expect(archive.entries.map(\.name) == ["a.npy", "grüße", "c"])
    #expect(try contents(archive, 0) == plain(100))
    #expect(try contents(archive, 1) == [])
    #expect(try contents(archive, 2) == plain(7))
  }

  @Test func `every truncation is an error, and every flipped bit an error or the same files`()
    throws
  {
    let whole = try archive([("a", plain(20))])
    func tried(_ bytes: [UInt8]) throws -> [UInt8] {
      let storage = try Storage(byteCount: bytes.count)
      for (index, byte) in bytes.enumerated() {
        storage.base.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
      }
      return try contents(try ZIPArchive(storage), 0)
    }
    let bytes = Array(UnsafeRawBufferPointer(start: whole.base, count: whole.byteCount))
    #expect(try tried(bytes) == plain(20))
    for length in 0..<bytes.count {
      #expect(throws: MartletError.self) { try tried(Array(bytes[..<length])) }
    }
    for index in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << bit
        do { #expect(try tried(damaged) == plain(20)) } catch { #expect(error is MartletError) }
      }
    }
  }

  @Test func `the checksum is that of IEEE 802.3`() {
    let check = Array("123456789".utf8).withUnsafeBytes { ZIPArchive.checksum($0) }
    #expect(check == 0xCBF4_3926)
  }
}
