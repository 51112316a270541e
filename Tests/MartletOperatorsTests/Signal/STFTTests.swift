import MartletCore
import Testing

@testable import MartletOperators

@Suite struct STFTTests {
  private func noise(_ count: Int) -> [Double] {
    (0..<count).map { Double(Float(Double($0 * 7919 % 2003) / 1001 - 1)) }
  }

  private func stft(
    _ signal: Tensor, step: Int, window: Tensor? = nil, length: Int? = nil, onesided: Bool = true
  ) throws -> Tensor {
    try run(
      "STFT", [signal, ints([step], []), window, length.map { try ints([$0], []) }],
      ["onesided": .int(onesided ? 1 : 0)])[0]
  }

  @Test("each frame is its windowed DFT", arguments: [DType.float64, .float32, .float16])
  func frames(_ dtype: DType) throws {
    for (samples, step, length, parts) in [
      (50, 7, 16, 1), (50, 8, 15, 1), (34, 5, 17, 1), (40, 3, 10, 2), (16, 99, 16, 1), (9, 1, 1, 1),
    ] {
      let values = try tensor(noise(2 * samples * parts), nil, dtype).values
      let signal = try tensor(values, [2, samples, parts], dtype)
      let weights = try tensor((1...length).map { 1 / Double($0) }, nil, dtype)
      for onesided in [true, false] {
        for window in [weights, nil] {
          let result = try stft(
            signal, step: step, window: window, length: window == nil ? length : nil,
            onesided: onesided)
          let frames = (samples - length) / step + 1
          let bins = onesided ? length / 2 + 1 : length
          #expect(result.shape == [2, frames, bins, 2] && result.dtype == dtype)
          for (batch, frame) in [(0, 0), (1, frames - 1)] {
            let start = batch * samples + frame * step
            let part = (0..<length * parts).map {
              values[start * parts + $0] * (window?.values[$0 / parts] ?? 1)
            }
            let expected = try spectrum(tensor(part, [1, length, parts], .float64))
            let first = (batch * frames + frame) * bins * 2
            #expect(
              agree(
                Array(result.values[first..<first + 2 * bins]), Array(expected.prefix(2 * bins)),
                dtype == .float64 ? 1e-13 : dtype == .float32 ? 1e-6 : 1e-3))
          }
        }
      }
    }
  }

  private func spectrum(_ input: Tensor) throws -> [Double] {
    try values("DFT", [input])
  }

  @Test("without window and length there is one frame, of the whole signal") func whole() throws {
    let signal = try tensor(noise(12), [1, 12, 1], .float64)
    let result = try stft(signal, step: 4, onesided: false)
    #expect(result.shape == [1, 1, 12, 2])
    #expect(result.values == (try values("DFT", [signal])))
  }

  @Test("a node keeps its tables, and takes other lengths all the same") func kept() throws {
    let node = OperatorNode(
      attributes: Attributes([:], operatorName: "STFT"), constants: [nil, nil, nil, nil],
      inputCount: 4, outputCount: 1)
    let made = try OperatorTable.make(OperatorID("STFT"), node)
    let frame = Inputs([Value?](repeating: nil, count: 4), STFT.schema)
    for length in [8, 8, 12, 8] {
      frame.values = [
        .tensor(try tensor(noise(40), [1, 40, 1])), .tensor(try ints([4], [])), nil,
        .tensor(try ints([length], [])),
      ]
      let context = makeContext()
      try made.run(frame, context)
      let result = try #require(context.results.first??.tensor)
      let alone = try stft(tensor(noise(40), [1, 40, 1]), step: 4, length: length)
      #expect(result.values == alone.values)
    }
  }

  @Test("what does not fit is named") func refusals() throws {
    let signal = try iota([1, 20, 1])
    func error(_ body: () throws -> Void) -> MartletError? { martletError(body) }
    for step in [0, -1] {
      #expect(error { _ = try stft(signal, step: step, length: 8) }?.input == "frame_step")
    }
    for length in [0, -3, 21, Int.max] {
      let wrong = error { _ = try stft(signal, step: 2, length: length) }
      #expect(wrong?.input == "frame_length" && wrong?.expected == "a length of 1...20")
    }
    #expect(
      error { _ = try stft(signal, step: 2, window: iota([8]), length: 9) }?.input == "window")
    #expect(error { _ = try stft(signal, step: 2, window: iota([2, 4])) }?.expected == "1")
    #expect(
      error { _ = try stft(signal, step: 2, window: iota([8], .float64)) }?.code == .invalidDType)
    #expect(error { _ = try stft(iota([1, 20]), step: 2, length: 8) }?.input == "signal")
    #expect(error { _ = try stft(iota([1, 20, 3]), step: 2, length: 8) }?.code == .invalidShape)
    #expect(try stft(iota([0, 20, 1]), step: 2, length: 8).shape == [0, 7, 5, 2])
  }

  @Test("shapes follow from symbols") func inference() throws {
    let signal = ValueType(dtype: .float32, shape: [.symbol("n"), .symbol("t"), .known(1)])
    let step = ValueType(dtype: .int64, shape: [], constant: try ints([4], []))
    let window = ValueType(dtype: .float32, shape: [.known(16)])
    let types = try infer("STFT", [signal, step, window])
    #expect(types[0].shape?[0] == .symbol("n") && types[0].shape?[2] == .known(9))
    #expect(types[0].shape?[1].evaluated { _ in 100 } == 22)
  }
}
