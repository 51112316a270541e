import MartletBackends
import MartletCore

/// A node's inputs with the checks that every operator makes, worded the same way everywhere.
package struct Inputs {
  private let tensors: [Tensor?]
  private let operatorName: String
  private let names: [String]

  package init(_ tensors: [Tensor?], _ schema: OperatorSchema) {
    self.tensors = tensors
    operatorName = schema.name
    names = schema.inputs
  }

  package var count: Int { tensors.count }

  package func name(_ index: Int) -> String {
    index < names.count ? names[index] : "input \(index)"
  }

  /// The input at `index`; throws where it is absent.
  package func required(_ index: Int) throws(MartletError) -> Tensor {
    guard let tensor = optional(index) else {
      throw MartletError(
        .invalidArgument, "\(operatorName): input '\(name(index))' is missing",
        operatorName: operatorName, input: name(index), expected: "a tensor", actual: "nothing")
    }
    return tensor
  }

  package func optional(_ index: Int) -> Tensor? {
    index < tensors.count ? tensors[index] : nil
  }

  /// The input at `index`, whose dtype must satisfy `isAllowed`.
  package func required(
    _ index: Int, _ isAllowed: (DType) -> Bool, _ expected: @autoclosure () -> String
  ) throws(MartletError) -> Tensor {
    let tensor = try required(index)
    guard isAllowed(tensor.dtype) else {
      throw .dtype(operatorName, name(index), expected: expected(), actual: tensor.dtype)
    }
    return tensor
  }

  /// The floating-point input at `index`.
  package func float(_ index: Int) throws(MartletError) -> Tensor {
    try required(index, \.isFloatingPoint, "a floating-point type")
  }

  /// The optional input at `index`, which must have this dtype.
  package func optional(_ index: Int, like dtype: DType) throws(MartletError) -> Tensor? {
    guard let tensor = optional(index) else { return nil }
    guard tensor.dtype == dtype else {
      throw .dtype(operatorName, name(index), expected: "\(dtype)", actual: tensor.dtype)
    }
    return tensor
  }

  /// The input at `index`, which must have this dtype.
  package func required(_ index: Int, like dtype: DType) throws(MartletError) -> Tensor {
    try required(index, { $0 == dtype }, "\(dtype)")
  }

  /// The elements of the integer input at `index`, a vector or a scalar.
  package func integers(_ index: Int) throws(MartletError) -> [Int] {
    let tensor = try required(index, \.isInteger, "an integer type")
    guard tensor.rank <= 1 else {
      throw .shape(
        operatorName, "\(name(index)) must be a vector", expected: "rank 0 or 1",
        actual: "rank \(tensor.rank)", input: name(index))
    }
    try Indices.checkRoom(tensor.count, operatorName)
    return SmallTensors.integers(tensor)
  }

  package func optionalIntegers(_ index: Int) throws(MartletError) -> [Int]? {
    optional(index) == nil ? nil : try integers(index)
  }

  /// The single integer at `index`.
  package func integer(_ index: Int) throws(MartletError) -> Int {
    let tensor = try required(index, \.isInteger, "an integer type")
    guard tensor.count == 1 else {
      throw .shape(
        operatorName, "\(name(index)) must be one number", expected: "1 element",
        actual: "\(tensor.count) elements", input: name(index))
    }
    return SmallTensors.integers(tensor)[0]
  }

  /// The single number at `index`, of any dtype.
  package func number(_ index: Int) throws(MartletError) -> Double {
    let tensor = try required(index)
    guard tensor.count == 1 else {
      throw .shape(
        operatorName, "\(name(index)) must be one number", expected: "1 element",
        actual: "\(tensor.count) elements", input: name(index))
    }
    return SmallTensors.doubles(tensor)[0]
  }

  /// The common shape of the inputs at `indices`; throws where they do not broadcast.
  package func broadcastShape(_ indices: Range<Int>) throws(MartletError) -> [Int] {
    var shape = try required(indices.lowerBound).shape
    for index in indices.dropFirst() {
      let next = try required(index).shape
      guard let common = Shape.broadcast(shape, next) else {
        throw .shape(
          operatorName, "\(name(index)) does not broadcast",
          expected: "a shape that broadcasts with \(Shape.text(shape))",
          actual: Shape.text(next), input: name(index))
      }
      shape = common
    }
    _ = try Shape.byteCount(shape, .float64)
    return shape
  }
}
