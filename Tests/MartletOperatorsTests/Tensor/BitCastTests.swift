import MartletCore
import Testing

@testable import MartletOperators

@Suite struct BitCastTests {
  @Test("bits stay as they are, for every pair of types of one width") func pairs() throws {
    for from in DType.numbers {
      let bytes = from.byteCount(of: 6)
      let x = try Tensor(uninitialized: from, [2, 3])
      for index in 0..<bytes {
        x.pointer.storeBytes(of: UInt8(index * 37 % 251), toByteOffset: index, as: UInt8.self)
      }
      for to in DType.numbers {
        let attributes: [String: AttributeValue] = ["to": .int(Int(to.rawValue))]
        guard from.bitWidth == to.bitWidth else {
          let error = martletError { _ = try run("BitCast", [x], attributes) }
          #expect(error?.code == .invalidDType && error?.input == "input")
          #expect(error?.actual == "\(from)")
          let early = martletError {
            _ = try infer("BitCast", [ValueType(dtype: from, shape: nil)], attributes)
          }
          #expect(early?.code == .invalidDType)
          continue
        }
        let result = try run("BitCast", [x], attributes)[0]
        #expect(result.dtype == to && result.shape == [2, 3] && result.storage === x.storage)
        for index in 0..<bytes {
          #expect(
            result.pointer.load(fromByteOffset: index, as: UInt8.self) == UInt8(index * 37 % 251))
        }
      }
    }
  }

  @Test("strides are kept") func strides() throws {
    let x = try tensor([1, -2, 0, -0.0], [2, 2]).permuted([1, 0])
    let result = try values("BitCast", [x], ["to": .int(6)])
    #expect(result == [1, 0, -2, -0.0].map { Double(Int32(bitPattern: Float($0).bitPattern)) })
  }

  @Test("strings and unknown types are refused") func refusals() throws {
    let strings = try Tensor(strings: ["a"], [1])
    let text = martletError { _ = try run("BitCast", [strings], ["to": .int(7)]) }
    #expect(text?.code == .invalidDType && text?.actual == "string")
    for to in [8, 14, 0, -1, 99] {
      let error = martletError { _ = try run("BitCast", [iota([1])], ["to": .int(to)]) }
      #expect(error?.code == .unsupported && error?.input == "to")
    }
    #expect(martletError { _ = try run("BitCast", [iota([1])]) }?.input == "to")
  }
}
