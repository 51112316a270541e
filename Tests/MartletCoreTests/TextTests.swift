import MartletCore
import Testing

@Suite struct TextTests {
  private func ascii(_ count: Int) -> [String] { (0..<count).map { "text number \($0)" } }

  @Test("a string tensor keeps its texts alive, and lets go of them with its last view")
  func ownership() throws {
    weak var text: Text?
    do {
      var view: Tensor?
      do {
        let owned = try Text("kept")
        text = owned
        let tensor = try Tensor(texts: [nil, owned, owned], [3])
        view = tensor.sliced(axis: 0, start: 1, count: 2, step: 1)
      }
      #expect(view?.strings == ["kept", "kept"])
      #expect(text != nil)
      view = nil
    }
    #expect(text == nil)
  }

  @Test("elements that were moved by their references are owned once the memory is sealed")
  func sealing() throws {
    weak var text: Text?
    let moved = try Tensor(uninitialized: .string, [2, 2])
    #expect(moved.strings == ["", "", "", ""])
    do {
      let owned = try Text("moved")
      text = owned
      let source = try Tensor(texts: [owned, nil], [2])
      try source.broadcast(to: [2, 2]).copyElements(to: moved)
    }
    #expect(moved.strings == ["moved", "", "moved", ""])
    #expect(text != nil)
    moved.storage.texts?.seal()
    #expect(moved.strings == ["moved", "", "moved", ""])
  }

  @Test("copies and views give the texts in their own order")
  func order() throws {
    let tensor = try Tensor(strings: ascii(6), [2, 3])
    let turned = try tensor.permuted([1, 0])
    let names = ascii(6)
    let expected = [0, 3, 1, 4, 2, 5].map { names[$0] }
    #expect(turned.strings == expected)
    #expect(try turned.copied().strings == expected)
    #expect(try turned.copied().isContiguous)
  }

  @Test("texts are compared by bytes, not by what they look like")
  func equality() throws {
    let composed = try Text("\u{e9}")
    let decomposed = try Text("e\u{301}")
    #expect(composed.string == decomposed.string)
    #expect(composed != decomposed)
    #expect(try Text("") == Text(""))
    #expect(try Text("a\u{0}b").bytes.count == 3)
  }

  @Test(
    "bytes that are not UTF-8 are no text",
    arguments: [[0x80], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80]])
  func invalid(_ bytes: [UInt8]) {
    #expect(throws: MartletError.self) {
      try bytes.withUnsafeBufferPointer { try Text(utf8: $0) }
    }
  }

  @Test("neither bytes are taken for strings nor strings for numbers")
  func reinterpretation() throws {
    let numbers = try Storage(byteCount: 64)
    #expect(throws: MartletError.self) {
      try Tensor(storage: numbers, dtype: .string, shape: [8])
    }
    let strings = try Tensor(strings: ascii(8), [8])
    #expect(throws: MartletError.self) {
      try Tensor(storage: strings.storage, dtype: .int64, shape: [8])
    }
    #expect(throws: MartletError.self) { try Tensor(strings: ascii(3), [2]) }
    #expect(throws: MartletError.self) { try Tensor(uninitialized: .string, [1 << 60]) }
  }
}
