import CMartlet
import Glibc
import MartletCore

// Section 8 of martlet.h: tensors of strings.

@_cdecl("martlet_tensor_from_strings") @implementation
public func martlet_tensor_from_strings(
  _ strings: UnsafePointer<UnsafePointer<CChar>?>?, _ sizes: UnsafePointer<Int>?, _ rank: Int32,
  _ shape: UnsafePointer<Int64>?, _ tensor: UnsafeMutablePointer<OpaquePointer?>?
) -> martlet_status {
  tensor?.pointee = nil
  return boundary { () throws(MartletError) in
    let result = try required(tensor, "tensor")
    let shape = try extents(shape, rank, "shape")
    let count = try Shape.elementCount(shape)
    _ = try Shape.byteCount(shape, .string)
    let pointers = try array(strings, count, "strings")
    var texts: [Text?] = []
    for (index, pointer) in pointers.enumerated() {
      let pointer = try required(pointer, "strings[\(index)]")
      let size = try sizes.map { sizes throws(MartletError) in
        try MartletC.size(sizes[index], "sizes[\(index)]")
      }
      let bytes = UnsafeRawBufferPointer(start: pointer, count: size ?? strlen(pointer))
      do throws(MartletError) {
        texts.append(try Text(utf8: bytes.assumingMemoryBound(to: UInt8.self)))
      } catch {
        var error = error
        error.message = "strings[\(index)]: \(error.message)"
        error.input = "strings[\(index)]"
        throw error
      }
    }
    result.pointee = try HandleTable.shared.create(try Tensor(texts: texts, shape))
  }
}

@_cdecl("martlet_tensor_string") @implementation
public func martlet_tensor_string(
  _ tensor: OpaquePointer?, _ index: Int64,
  _ string: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ size: UnsafeMutablePointer<Int>?
) -> martlet_status {
  string?.pointee = nil
  size?.pointee = 0
  return boundary { () throws(MartletError) in
    let tensor = try HandleTable.shared.tensor(tensor, "tensor")
    guard tensor.dtype == .string else {
      throw MartletError(
        .invalidDType, "the tensor's elements are \(tensor.dtype)", input: "tensor",
        expected: "string", actual: "\(tensor.dtype)")
    }
    guard index >= 0, index < tensor.count else {
      throw MartletError(
        .invalidArgument, "the tensor has \(tensor.count) elements, there is no index \(index)",
        input: "index", expected: "0..<\(tensor.count)", actual: "\(index)")
    }
    let text = tensor.text(at: Int(index))
    string?.pointee =
      text?.characters.assumingMemoryBound(to: CChar.self) ?? emptyString
    size?.pointee = text?.bytes.count ?? 0
  }
}

/// What an empty element points to; lasts as long as the process.
nonisolated(unsafe) private let emptyString: UnsafePointer<CChar> = {
  let zero = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
  zero.initialize(to: 0)
  return UnsafePointer(zero)
}()
