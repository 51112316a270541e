import Glibc
import MartletCore
import Testing

@testable import martlet_cli

@Suite struct NumPyFileTests {
  private func temporaryPath(_ name: String) -> String {
    "/tmp/martlet-\(getpid())-\(UInt32.random(in: 0 ... .max))-\(name).npy"
  }

  @discardableResult
  private func withFile<R>(_ bytes: [UInt8], _ body: (String) throws -> R) throws -> R {
    let path = temporaryPath("file")
    let file = try OpenFile(writing: path)
    try file.write(bytes)
    try file.close()
    defer { unlink(path) }
    return try body(path)
  }

  private func npy(_ dictionary: String, _ elements: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let header = Array(dictionary.utf8) + [0x0A]
    var length = [UInt8(header.count & 0xFF), UInt8(header.count >> 8)]
    if version > 1 { length += [0, 0] }
    return [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59, version, 0] + length + header + elements
  }

  @Test(arguments: DType.allCases.filter { NumPyHeader.code(of: $0) != nil })
  func `every dtype comes back as it was written`(dtype: DType) throws {
    let tensor = try Tensor(uninitialized: dtype, [3, 5])
    let bytes = 15 * dtype.wholeByteCount
    for index in 0..<bytes {
      let value: UInt8 = dtype == .bool ? UInt8(index % 2) : UInt8(truncatingIfNeeded: index * 37)
      tensor.pointer.storeBytes(of: value, toByteOffset: index, as: UInt8.self)
    }
    let path = temporaryPath("roundtrip")
    defer { unlink(path) }
    try NumPyFile.write(tensor, to: path)
    let back = try NumPyFile.read(path)
    #expect(back.dtype == dtype)
    #expect(back.shape == [3, 5])
    #expect(memcmp(back.pointer, tensor.pointer, bytes) == 0)
  }

  @Test(arguments: [[], [0], [1], [4], [2, 0, 3], [2, 3, 4]])
  func `shapes of any rank come back`(shape: [Int]) throws {
    let tensor = try Tensor(uninitialized: .float32, shape)
    memset(tensor.pointer, 0x3F, tensor.count * 4)
    let path = temporaryPath("shape")
    defer { unlink(path) }
    try NumPyFile.write(tensor, to: path)
    let back = try NumPyFile.read(path)
    #expect(back.shape == shape)
    #expect(memcmp(back.pointer, tensor.pointer, tensor.count * 4) == 0)
  }

  @Test func `a view is written in C order`() throws {
    let tensor = try Tensor(uninitialized: .int32, [2, 3])
    for index in 0..<6 { tensor.typed(Int32.self)[index] = Int32(index) }
    let path = temporaryPath("view")
    defer { unlink(path) }
    try NumPyFile.write(tensor.permuted([1, 0]), to: path)
    let back = try NumPyFile.read(path)
    #expect(back.shape == [3, 2])
    #expect((0..<6).map { back.typed(Int32.self)[$0] } == [0, 3, 1, 4, 2, 5])
  }

  @Test func `Fortran order is read as a view`() throws {
    let text = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }"
    let tensor = try withFile(npy(text, [0, 3, 1, 4, 2, 5])) { try NumPyFile.read($0) }
    #expect(tensor.shape == [2, 3])
    let rows = (0..<6).map { index in
      tensor.typed(UInt8.self)[index / 3 * tensor.strides[0] + index % 3 * tensor.strides[1]]
    }
    #expect(rows == [0, 1, 2, 3, 4, 5])
  }

  @Test func `big-endian elements are swapped`() throws {
    let text = "{'descr': '>i4', 'fortran_order': False, 'shape': (2,)}"
    let bytes: [UInt8] = [0, 0, 1, 2, 255, 255, 255, 254]
    let tensor = try withFile(npy(text, bytes, version: 2)) { try NumPyFile.read($0) }
    #expect((0..<2).map { tensor.typed(Int32.self)[$0] } == [258, -2])
  }

  @Test(arguments: [
    "", "{", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,",
    "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 'x'}",
  ])
  func `a malformed header is an error`(text: String) throws {
    try withFile(npy(text, [0, 0, 0, 0])) { path in
      let error = #expect(throws: MartletError.self) { try NumPyFile.read(path) }
      #expect(error?.code == .invalidModel)
      #expect(error?.message.contains(path) == true)
    }
  }

  @Test(arguments: ["<c8", "|O", "<U3", "f4", "|S1", ""])
  func `an element type without a tensor dtype is named`(code: String) throws {
    let text = "{'descr': '\(code)', 'fortran_order': False, 'shape': (1,), }"
    try withFile(npy(text, [0, 0, 0, 0])) { path in
      let error = #expect(throws: MartletError.self) { try NumPyFile.read(path) }
      #expect(error?.code == .unsupported)
    }
  }

  @Test(arguments: [
    "(4611686018427387904, 4611686018427387904)", "(4,)", "(0,)", "(1073741824, 1073741824)",
  ])
  func `elements must fill the file exactly`(shape: String) throws {
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': \(shape), }"
    try withFile(npy(text, [0, 0, 0, 0])) { path in
      #expect(throws: MartletError.self) { try NumPyFile.read(path) }
    }
  }

  @Test func `every truncation of a file is an error`() throws {
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"
    let whole = npy(text, [0, 0, 0, 0])
    for length in 0..<whole.count {
      try withFile(Array(whole.prefix(length))) { path in
        _ = #expect(throws: MartletError.self) { try NumPyFile.read(path) }
      }
    }
  }

  @Test func `a missing file, a directory and an unwritable place are errors`() {
    #expect(throws: MartletError.self) { try NumPyFile.read("/tmp/martlet-no-such-file.npy") }
    #expect(throws: MartletError.self) { try NumPyFile.read("/tmp") }
    #expect(throws: MartletError.self) {
      try NumPyFile.write(Tensor(uninitialized: .int8, []), to: "/no-such-folder/x.npy")
    }
  }
}
