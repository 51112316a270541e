import MartletCore
import Testing

@testable import MartletOperators

private func ml(_ name: String) -> String { "ai.onnx.ml.\(name)" }

private let features = [DType.float32, .float64, .int32, .int64]

@Suite struct ClassicalTests {
  @Test("Scaler, by feature or all alike", arguments: features) func scaler(_ dtype: DType) throws {
    let x = try tensor([1, -4, 2, 0, 6, -2], [2, 3], dtype)
    let each: [String: AttributeValue] = [
      "offset": .floats([1, 2, 3]), "scale": .floats([2, 0.5, -1]),
    ]
    let result = try run(ml("Scaler"), [x], each)[0]
    #expect(result.dtype == .float32 && result.shape == [2, 3])
    #expect(result.values == [0, -3, 1, -2, 2, 5])
    let all: [String: AttributeValue] = ["offset": .floats([1]), "scale": .floats([2])]
    #expect(try values(ml("Scaler"), [x], all) == [0, -10, 2, -2, 10, -6])
    #expect(
      try values(ml("Scaler"), [x.permuted([1, 0])], ["offset": .floats([1, 2])]) == [
        0, -2, -5, 4, 1, -4,
      ])
    #expect(try run(ml("Scaler"), [tensor([], [0, 3], dtype)], each)[0].shape == [0, 3])
    let error = #expect(throws: MartletError.self) {
      try run(ml("Scaler"), [x], ["scale": .floats([1, 2])])
    }
    #expect(error?.expected == "2 features")
    #expect(throws: MartletError.self) {
      try run(ml("Scaler"), [x], ["scale": .floats([1, 2]), "offset": .floats([1])])
    }
  }

  @Test("Normalizer, rows of 0 left as they are", arguments: features)
  func normalizer(_ dtype: DType) throws {
    let x = try tensor([1, -4, 2, 0, 0, 0, -1, -2, -2], [3, 3], dtype)
    #expect(
      try values(ml("Normalizer"), [x]) == [0.5, -2, 1, 0, 0, 0, 1, 2, 2])
    let l1 = try values(ml("Normalizer"), [x], ["norm": .string("L1")])
    #expect(agree(l1, [1.0 / 7, -4.0 / 7, 2.0 / 7, 0, 0, 0, -0.2, -0.4, -0.4]))
    let l2 = try values(ml("Normalizer"), [x], ["norm": .string("L2")])
    let length = 21.0.squareRoot()
    #expect(
      agree(l2, [1 / length, -4 / length, 2 / length, 0, 0, 0, -1.0 / 3, -2.0 / 3, -2.0 / 3]))
    #expect(try run(ml("Normalizer"), [tensor([3, 4], [2], dtype)])[0].shape == [2])
    #expect(throws: MartletError.self) {
      try run(ml("Normalizer"), [x], ["norm": .string("L3")])
    }
  }

  @Test("Binarizer keeps the type", arguments: features) func binarizer(_ dtype: DType) throws {
    let x = try tensor([1, -4, 2, 3], [2, 2], dtype)
    let result = try run(ml("Binarizer"), [x], ["threshold": .float(1.5)])[0]
    #expect(result.dtype == dtype && result.values == [0, 0, 1, 1])
    #expect(try values(ml("Binarizer"), [tensor([.nan, 1])]) == [0, 1])
  }

  @Test("Imputer replaces a value, or what is none") func imputer() throws {
    let floats: [String: AttributeValue] = [
      "imputed_value_floats": .floats([9, 8, 7]), "replaced_value_float": .float(.nan),
    ]
    let x: [Double] = [1, .nan, .nan, .nan, 0, 2]
    for dtype in [DType.float32, .float64] {
      #expect(try values(ml("Imputer"), [tensor(x, [2, 3], dtype)], floats) == [1, 8, 7, 9, 0, 2])
    }
    let integers: [String: AttributeValue] = [
      "imputed_value_int64s": .ints([-5]), "replaced_value_int64": .int(1 << 53 + 1),
    ]
    let wide = try tensor([0, 3], [2], .int64)
    wide.typed(Int64.self)[0] = 1 << 53 + 1
    #expect(try values(ml("Imputer"), [wide], integers) == [-5, 3])
    #expect(
      try values(
        ml("Imputer"), [tensor([0, 3], [2], .int32)], ["imputed_value_int64s": .ints([4])]) == [
          4, 3,
        ])
    let error = #expect(throws: MartletError.self) {
      try run(ml("Imputer"), [tensor([0, 3], [2], .int32)], integers)
    }
    #expect(error?.code == .invalidDType)
    #expect(throws: MartletError.self) { try run(ml("Imputer"), [tensor(x, [3, 2])], floats) }
    #expect(throws: MartletError.self) { try run(ml("Imputer"), [wide], floats) }
    #expect(throws: MartletError.self) { try run(ml("Imputer"), [wide]) }
  }

  @Test("OneHotEncoder: categories of numbers and strings; the rest is zeros or an error")
  func oneHot() throws {
    let numbers: [String: AttributeValue] = ["cats_int64s": .ints([1, 3, -1])]
    for dtype in features {
      let result = try run(ml("OneHotEncoder"), [tensor([1, -1, 3, 9], [2, 2], dtype)], numbers)[0]
      #expect(result.shape == [2, 2, 3] && result.dtype == .float32)
      #expect(result.values == [1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0])
    }
    #expect(
      try values(ml("OneHotEncoder"), [tensor([1.75, -1.25])], numbers) == [1, 0, 0, 0, 0, 1])
    let words: [String: AttributeValue] = ["cats_strings": .strings(["b", "", "é"])]
    let texts = try Tensor(strings: ["é", "", "x"], [3])
    #expect(try values(ml("OneHotEncoder"), [texts], words) == [0, 0, 1, 0, 1, 0, 0, 0, 0])
    let error = #expect(throws: MartletError.self) {
      try run(ml("OneHotEncoder"), [texts], words.merging(["zeros": .int(0)]) { $1 })
    }
    #expect(error?.message.contains("element 2") == true)
    #expect(throws: MartletError.self) { try run(ml("OneHotEncoder"), [texts], numbers) }
    #expect(throws: MartletError.self) { try run(ml("OneHotEncoder"), [texts]) }
  }

  @Test("LabelEncoder maps every type to every type") func labels() throws {
    func keys(_ dtype: DType) throws -> Tensor {
      dtype == .string ? try Tensor(strings: ["a", "b"], [2]) : try tensor([3, 5], [2], dtype)
    }
    let types: [DType] = [.string, .int16, .int32, .int64, .float32, .float64]
    for from in types {
      for to in types {
        let attributes: [String: AttributeValue] = [
          "keys_tensor": .tensor(try keys(from)), "values_tensor": .tensor(try keys(to)),
        ]
        let x =
          from == .string
          ? try Tensor(strings: ["b", "c", "a"], [3, 1]) : try tensor([5, 4, 3], [3, 1], from)
        let result = try run(ml("LabelEncoder"), [x], attributes)[0]
        #expect(result.dtype == to && result.shape == [3, 1])
        if to == .string {
          #expect(result.strings == ["b", "_Unused", "a"])
        } else {
          #expect(result.values == [5, to.isInteger ? -1 : 0, 3])
        }
      }
    }
    let lists: [String: AttributeValue] = [
      "keys_floats": .floats([0, .nan, 2, 2]), "values_int64s": .ints([10, 20, 30, 40]),
      "default_int64": .int(7),
    ]
    #expect(
      try values(ml("LabelEncoder"), [tensor([-0.0, .nan, 2, 3])], lists) == [10, 20, 40, 7])
    let other: [String: AttributeValue] = [
      "keys_strings": .strings(["a"]), "values_tensor": .tensor(try tensor([1], [1], .float64)),
      "default_tensor": .tensor(try tensor([0.25], [1], .float64)),
    ]
    #expect(try values(ml("LabelEncoder"), [Tensor(strings: ["a", ""], [2])], other) == [1, 0.25])
  }

  @Test("LabelEncoder's contradictions are named") func labelFaults() throws {
    let x = try ints([1])
    let wrong: [[String: AttributeValue]] = [
      [:], ["keys_int64s": .ints([1])],
      ["keys_int64s": .ints([1]), "values_int64s": .ints([1, 2])],
      ["keys_int64s": .ints([1]), "keys_floats": .floats([1]), "values_int64s": .ints([1])],
      ["keys_tensor": .tensor(try tensor([1], [1], .int8)), "values_int64s": .ints([1])],
      [
        "keys_int64s": .ints([1]), "values_tensor": .tensor(try tensor([1])),
        "default_tensor": .tensor(try ints([1])),
      ],
    ]
    for attributes in wrong {
      let error = #expect(throws: MartletError.self) {
        try run(ml("LabelEncoder"), [x], attributes)
      }
      #expect(error?.code == .invalidArgument, "\(attributes)")
    }
    let error = #expect(throws: MartletError.self) {
      try run(
        ml("LabelEncoder"), [tensor([1])], ["keys_int64s": .ints([1]), "values_int64s": .ints([1])])
    }
    #expect(error?.code == .invalidDType)
  }

  @Test("CategoryMapper goes both ways") func categories() throws {
    let attributes: [String: AttributeValue] = [
      "cats_int64s": .ints([4, 9]), "cats_strings": .strings(["four", "nine"]),
      "default_string": .string("none"),
    ]
    #expect(
      try run(ml("CategoryMapper"), [ints([9, 1])], attributes)[0].strings == ["nine", "none"])
    #expect(
      try values(ml("CategoryMapper"), [Tensor(strings: ["four", "x"], [2])], attributes) == [
        4, -1,
      ])
    #expect(throws: MartletError.self) {
      try run(ml("CategoryMapper"), [ints([1])], ["cats_int64s": .ints([4])])
    }
  }

  @Test("ArrayFeatureExtractor takes from the last axis, strings too") func extractor() throws {
    let x = try iota([2, 2, 3])
    let picked = try run(ml("ArrayFeatureExtractor"), [x, ints([2, 0], [1, 2])])[0]
    #expect(picked.shape == [2, 2, 2] && picked.values == [2, 0, 5, 3, 8, 6, 11, 9])
    let row = try run(ml("ArrayFeatureExtractor"), [iota([5]), ints([3, -1])])[0]
    #expect(row.shape == [1, 2] && row.values == [3, 4])
    let texts = try Tensor(strings: ["a", "b", "c", "d"], [2, 2])
    let column = try run(ml("ArrayFeatureExtractor"), [texts, ints([1], [])])[0]
    #expect(column.shape == [2, 1] && column.strings == ["b", "d"])
    let error = #expect(throws: MartletError.self) {
      try run(ml("ArrayFeatureExtractor"), [x, ints([3])])
    }
    #expect(error?.code == .invalidArgument)
    #expect(throws: MartletError.self) {
      try run(ml("ArrayFeatureExtractor"), [tensor([1], []), ints([0])])
    }
  }

  @Test("FeatureVectorizer cuts and fills") func vectorizer() throws {
    let (a, b) = (
      try tensor([1, 2, 3, 4], [2, 2], .int32), try tensor([5, 6], [2, 1], .float64)
    )
    let plain = try run(ml("FeatureVectorizer"), [a, b])[0]
    #expect(plain.shape == [2, 3] && plain.values == [1, 2, 5, 3, 4, 6])
    let cut = try run(
      ml("FeatureVectorizer"), [a, b], ["inputdimensions": .ints([1, 2])])[0]
    #expect(cut.values == [1, 5, 0, 3, 6, 0] && cut.dtype == .float32)
    #expect(throws: MartletError.self) {
      try run(ml("FeatureVectorizer"), [a, b], ["inputdimensions": .ints([1])])
    }
    #expect(throws: MartletError.self) {
      try run(ml("FeatureVectorizer"), [a, b], ["inputdimensions": .ints([.max, .max])])
    }
    #expect(throws: MartletError.self) { try run(ml("FeatureVectorizer"), [a, tensor([1])]) }
  }
}
