import MartletCore

extension ONNXTensorReader {
  /// Bytes of elements that a sparse tensor may come to: a file of a few bytes can ask for any number.
  private static let mostDenseBytes = 1 << 30

  /// The tensor with all its elements, zeros where the message has none.
  ///
  /// Indices should ascend; converters write them in any order, which is taken too.
  ///
  /// Throws `invalidModel` for indices that are there twice, or that the shape does not have;
  /// `unsupported` beyond 1 GiB of elements.
  /// Source: onnx.proto, SparseTensorProto.
  mutating func read(_ proto: ONNXSparseTensor) throws(MartletError) -> Tensor {
    func invalid(_ what: String) -> MartletError {
      MartletError(.invalidModel, "\(proto.path): \(what)", input: proto.name)
    }
    guard let valuesProto = proto.values, let indicesProto = proto.indices else {
      throw invalid("a sparse tensor needs values and indices")
    }
    let values = try read(valuesProto)
    let indices = try read(indicesProto)
    let count: Int
    let byteCount: Int
    do throws(MartletError) {
      count = try Shape.elementCount(proto.dims)
      byteCount = try Shape.byteCount(proto.dims, values.dtype)
    } catch { throw invalid(error.message) }
    guard values.rank == 1 else {
      throw invalid("values have the shape \(Shape.text(values.shape)), not [n]")
    }
    let (filled, rank) = (values.count, proto.dims.count)
    guard indices.dtype == .int64, indices.shape == [filled] || indices.shape == [filled, rank]
    else {
      throw invalid(
        "indices are \(indices.dtype)\(Shape.text(indices.shape)), not int64 [\(filled)] or [\(filled), \(rank)]"
      )
    }
    guard byteCount <= ONNXTensorReader.mostDenseBytes else {
      throw MartletError(
        .unsupported,
        "\(proto.path): a sparse tensor of the shape \(Shape.text(proto.dims)) has \(byteCount) bytes when all its elements are written out",
        input: proto.name, expected: "at most \(ONNXTensorReader.mostDenseBytes) bytes",
        actual: "\(byteCount) bytes")
    }
    let result = try Tensor(uninitialized: values.dtype, proto.dims)
    let bits = values.dtype.bitWidth
    result.pointer.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    let places = indices.typed(Int64.self)
    var filledPlaces = [Int]()
    filledPlaces.reserveCapacity(filled)
    for item in 0..<filled {
      var place = 0
      if indices.rank == 1 {
        place = Int(places[item])
        guard (0..<count).contains(place) else {
          throw invalid("index \(place) is not below \(count)")
        }
      } else {
        // No overflow: every step is below the count of elements.
        for (axis, extent) in proto.dims.enumerated() {
          let index = Int(places[item * rank + axis])
          guard (0..<extent).contains(index) else {
            throw invalid("index \(index) of axis \(axis) is not below \(extent)")
          }
          place = place * extent + index
        }
      }
      filledPlaces.append(place)
      if bits >= 8 {
        (result.pointer + place * (bits / 8)).copyMemory(
          from: values.pointer + item * (bits / 8), byteCount: bits / 8)
      } else {
        let (source, target) = (values.typed(UInt8.self), result.typed(UInt8.self))
        for bit in 0..<bits {
          let (from, to) = (item * bits + bit, place * bits + bit)
          target[to / 8] |= (source[from / 8] >> UInt8(from % 8) & 1) << UInt8(to % 8)
        }
      }
    }
    withExtendedLifetime((values, indices)) {}
    if let place = ONNXTensorReader.repeated(&filledPlaces) {
      throw invalid("two values for element \(place)")
    }
    return result
  }

  /// A number that is there twice, if there is one; sorts them unless they ascend already.
  private static func repeated(_ places: inout [Int]) -> Int? {
    func firstStep() -> Int? { places.indices.dropFirst().first { places[$0 - 1] >= places[$0] } }
    guard firstStep() != nil else { return nil }
    places.sort()
    return firstStep().map { places[$0] }
  }
}
