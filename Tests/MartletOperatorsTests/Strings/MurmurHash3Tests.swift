import MartletCore
import Testing

@testable import MartletOperators

@Suite struct MurmurHash3Tests {
  private let name = "com.microsoft.MurmurHash3"

  /// As ONNX Runtime 1.32 gives them.
  @Test("texts of all lengths, with and without a seed, as uint32 and int32") func texts() throws {
    let texts = ["", "a", "ab", "abc", "abcd", "hello world", "z0é"]
    let x = try Tensor(strings: texts, [7])
    let plain = try run(name, [x])[0]
    #expect(plain.dtype == .uint32)
    #expect(
      plain.values == [
        0, 1_009_084_850, 2_613_040_991, 3_017_643_002, 1_139_631_978, 1_586_663_183,
        3_126_343_961,
      ])
    let seeded = try run(name, [x], ["positive": .int(0), "seed": .int(42)])[0]
    #expect(seeded.dtype == .int32)
    #expect(
      seeded.values == [
        142_593_372, -1_293_573_533, -684_913_081, 1_313_807_976, -396_302_900, -368_272_391,
        -1_427_822_941,
      ])
  }

  @Test("numbers by their bytes") func numbers() throws {
    for (dtype, expected) in [
      (.int32, [593_689_054, 4_226_891_818, 1_085_422_463, 1_917_716_652]),
      (.int64, [1_669_671_676, 1_392_991_556, 3_323_962_100, 2_497_518_509]),
      (.float32, [593_689_054, 3_851_923_664, 1_278_750_292, 3_953_565_335]),
      (.float64, [1_669_671_676, 4_152_582_287, 3_145_138_138, 2_167_089_270]),
    ] as [(DType, [Double])] {
      #expect(try values(name, [tensor([0, 1, 2, -3], nil, dtype)]) == expected)
    }
    #expect(try values(name, [tensor([5], [], .int32)]) == [236_698_494])
    #expect(try run(name, [tensor([], [0, 2], .int32)])[0].shape == [0, 2])
    #expect(throws: MartletError.self) { try run(name, [tensor([1], nil, .int8)]) }
  }
}
