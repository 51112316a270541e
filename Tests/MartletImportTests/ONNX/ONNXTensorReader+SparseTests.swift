import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import MartletImport

@Suite struct ONNXTensorReaderSparseTests {
  private func load(_ sparse: Message, extra: [Message] = []) throws -> Tensor {
    let graph = ONNXEncoder.graph(
      [], outputs: [ONNXEncoder.value("w", 0, nil)], initializers: extra,
      sparseInitializers: [sparse])
    return try Model.load(ONNXEncoder.model(graph)).makeRun().run([:])[0]
  }

  private let values = ONNXEncoder.floats("w", [2], [5, 7])

  @Test("a sparse initialiser has zeros where the file has nothing")
  func dense() throws {
    let flat = ONNXEncoder.sparse(values, ONNXEncoder.int64s("i", [2], [1, 3]), [2, 3])
    #expect(try load(flat).shape == [2, 3] && load(flat).floats == [0, 5, 0, 7, 0, 0])
    let pairs = ONNXEncoder.sparse(values, ONNXEncoder.int64s("i", [2, 2], [0, 2, 1, 1]), [2, 3])
    #expect(try load(pairs).floats == [0, 0, 5, 0, 7, 0])
    let turned = ONNXEncoder.sparse(values, ONNXEncoder.int64s("i", [2], [3, 1]), [2, 3])
    #expect(try load(turned).floats == [0, 7, 0, 5, 0, 0])
    let none = ONNXEncoder.sparse(
      ONNXEncoder.floats("w", [0], []), ONNXEncoder.int64s("i", [0], []), [4])
    #expect(try load(none).floats == [0, 0, 0, 0])
  }

  @Test("so are elements of 4 bits") func packed() throws {
    let values = ONNXEncoder.tensor("w", 22, [3], raw: [0x21, 0x0F])
    let sparse = ONNXEncoder.sparse(values, ONNXEncoder.int64s("i", [3], [1, 4, 6]), [7])
    let tensor = try load(sparse)
    #expect(tensor.dtype == .int4 && tensor.shape == [7])
    #expect((0..<4).map { tensor.typed(UInt8.self)[$0] } == [0x10, 0, 0x02, 0x0F])
  }

  @Test("a Constant's sparse value is one too")
  func constant() throws {
    let sparse = ONNXEncoder.sparse(values, ONNXEncoder.int64s("i", [2], [0, 2]), [3])
    let node = Message.build {
      $0.string(2, "y")
      $0.string(4, "Constant")
      $0.message(
        5,
        Message.build {
          $0.string(1, "sparse_value")
          $0.message(22, sparse)
          $0.integer(20, 11)
        })
    }
    let graph = ONNXEncoder.graph([node], outputs: [ONNXEncoder.value("y", 1, nil)])
    #expect(try Model.load(ONNXEncoder.model(graph)).makeRun().run([:])[0].floats == [5, 0, 7])
  }

  @Test(
    "indices that the shape does not have, or that are there twice, are refused",
    arguments: [
      ([2], [Int64](arrayLiteral: 1, 6), [2, 3]), ([2], [-1, 3], [2, 3]),
      ([2], [1, 1], [2, 3]), ([3], [0, 1, 2], [2, 3]), ([1], [0], [2, 3]),
      ([2, 2], [0, 3, 1, 0], [2, 3]), ([2, 2], [0, 0, 2, 0], [2, 3]),
      ([2, 2], [0, 1, 0, 1], [2, 3]), ([2, 2], [0, -1, 1, 0], [2, 3]), ([2, 1], [0, 1], [2, 3]),
      ([2], [0, 1], [0]), ([2], [0, 1], [-4]), ([2], [0, 1], [1 << 40, 1 << 40]),
    ])
  func wrongIndices(indexShape: [Int], indices: [Int64], dims: [Int]) throws {
    let sparse = ONNXEncoder.sparse(values, ONNXEncoder.int64s("i", indexShape, indices), dims)
    let error = martletError { _ = try load(sparse) }
    #expect(error?.code == .invalidModel)
    #expect(error?.message.contains("sparse_initializer[0] 'w'") == true)
  }

  @Test("what is there twice is found where the order is another, too") func repeated() throws {
    let three = ONNXEncoder.floats("w", [3], [5, 7, 9])
    let sparse = ONNXEncoder.sparse(three, ONNXEncoder.int64s("i", [3], [4, 1, 4]), [2, 3])
    let error = martletError { _ = try load(sparse) }
    #expect(error?.code == .invalidModel && error?.message.contains("element 4") == true)
  }

  @Test("what is missing or of the wrong kind is refused, and what a few bytes blow up to")
  func wrongForms() throws {
    let indices = ONNXEncoder.int64s("i", [2], [0, 1])
    let wrong = [
      ONNXEncoder.sparse(nil, indices, [4]), ONNXEncoder.sparse(values, nil, [4]),
      ONNXEncoder.sparse(ONNXEncoder.floats("w", [1, 2], [5, 7]), indices, [4]),
      ONNXEncoder.sparse(values, ONNXEncoder.floats("i", [2], [0, 1]), [4]),
    ]
    for sparse in wrong {
      #expect(martletError { _ = try load(sparse) }?.code == .invalidModel)
    }
    let twice = ONNXEncoder.sparse(values, indices, [4])
    #expect(martletError { _ = try load(twice, extra: [values]) }?.code == .invalidModel)
    let huge = ONNXEncoder.sparse(values, indices, [1 << 30])
    #expect(martletError { _ = try load(huge) }?.code == .unsupported)
  }
}
