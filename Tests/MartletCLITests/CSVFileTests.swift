import MartletCore
import MartletOperators
import ONNXFixtures
import Testing

@testable import martlet_cli

@Suite struct CSVFileTests {
  private func table(_ text: String) throws -> CSVFile {
    let bytes = Array(text.utf8)
    let storage = try Storage(byteCount: bytes.count)
    for (index, byte) in bytes.enumerated() {
      storage.base.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
    }
    return try CSVFile(storage, name: "x.csv")
  }

  @Test(arguments: [
    "1,2\n3,4\n", "1;2\r\n3;4", "1\t2\n3\t4", "  1  2 \n3 4\n\n", "# of np.savetxt\n1,2\n3,4",
    "\u{FEFF}width,height\n1, 2\n3, 4\n", "\"1\",\"2\"\n3,\"4\"",
  ])
  func `numbers stand between commas, semicolons, tabs or spaces`(text: String) throws {
    let tensor = try table(text).tensor(nil, nil)
    #expect(tensor.dtype == .float32 && tensor.shape == [2, 2])
    #expect(tensor.floats == [1, 2, 3, 4])
  }

  @Test func `rows fill the shape that an input has`() throws {
    let table = try table("1,2,3,4\n5,6,7,8\n")
    let shapes: [([Dimension]?, [Int])] = [
      (nil, [2, 4]), ([.symbol("n"), .known(4)], [2, 4]),
      ([.symbol("n"), .known(1), .known(2), .known(2)], [2, 1, 2, 2]),
      ([.known(1), .unknown], [1, 8]), ([.unknown], [8]), ([.known(2), .known(4)], [2, 4]),
      ([.unknown, .known(1), .unknown], [2, 1, 4]),
    ]
    for (shape, expected) in shapes {
      #expect(try table.tensor(.float32, shape).shape == expected)
    }
    for shape: [Dimension] in [
      [], [.known(3)], [.unknown, .known(3)], [.unknown, .unknown, .unknown],
    ] {
      let error = martletError { _ = try table.tensor(.float32, shape) }
      #expect(error?.code == .invalidShape)
      #expect(error?.message.contains("x.csv: 2 rows of 4 values") == true)
    }
  }

  @Test func `values are read as the dtype that is wanted`() throws {
    let table = try table("-1,2.0\n")
    for dtype in [DType.int64, .int8, .float64, .float16] {
      let tensor = try table.tensor(dtype, nil)
      #expect(tensor.dtype == dtype)
      #expect(try tensor.cast(to: .float32).floats == [-1, 2])
    }
    #expect(try table.tensor(.string, nil).strings == ["-1", "2.0"])
    for dtype in [DType.uint8, .uint64, .bool] {
      let error = martletError { _ = try table.tensor(dtype, nil) }
      #expect(error?.message.contains("line 1, value 1: '-1' is not a whole number from 0") == true)
    }
    #expect(try self.table("true,False\nnan,inf").tensor(.float32, nil).floats.prefix(2) == [1, 0])
  }

  @Test(arguments: [
    ("", "no numbers"), ("a,b\n", "'a' is not a number"),
    ("1,2\n3", "line 2 has 1 values, line 1 has 2"),
    ("1,\"2\n", "a quotation has no end"), ("1,2\n3,x", "line 2, value 2: 'x' is not a number"),
    ("a,1\n2,3", "line 1, value 1: 'a'"), ("1,,2", "value 2: '' is not a number"),
    ("1\0", "neither .npy, .npz nor text"),
  ])
  func `what is wrong is named with its line`(text: String, message: String) {
    let error = martletError { _ = try table(text).tensor(.float32, nil) }
    #expect(error?.code == .invalidModel)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }

  @Test func `strings keep commas and quotes`() throws {
    let folder = TemporaryDirectory()
    let path = folder.path + "/s.csv"
    let strings = ["a,b", "say \"hi\"", "plain", "c;d"]
    let file = try OpenFile(writing: path)
    try CSVFile.write(Tensor(strings: strings, [2, 2]), to: file)
    try file.close()
    guard case .table(let table) = try TensorFile(path) else {
      Issue.record("no table")
      return
    }
    let back = try table.tensor(.string, nil)
    #expect(back.shape == [2, 2] && back.strings == strings)
  }
}
