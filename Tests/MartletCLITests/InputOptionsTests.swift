import MartletCore
import MartletRuntime
import ONNXFixtures
import Testing

@testable import martlet_cli

@Suite struct InputOptionsTests {
  /// An identity for each input: name, dtype's number, extents.
  private func model(_ inputs: [(String, Int, [String]?)]) throws -> Model {
    try Model.load(
      ONNXEncoder.model(
        ONNXEncoder.graph(
          inputs.map { ONNXEncoder.node("Identity", [$0.0], ["out \($0.0)"]) },
          inputs: inputs.map { ONNXEncoder.value($0.0, $0.1, $0.2) },
          outputs: inputs.map { ONNXEncoder.value("out \($0.0)", $0.1, $0.2) })))
  }

  private func write(_ tensor: Tensor, _ folder: TemporaryDirectory, _ name: String) throws
    -> String
  {
    try NumPyFile.write(tensor, to: folder.path + "/" + name)
    return folder.path + "/" + name
  }

  private func read(_ words: [String], _ model: Model) throws -> [String: Tensor] {
    try InputOptions.parse(words).read(for: model)
  }

  @Test func `one input needs no name, several do`() throws {
    let folder = TemporaryDirectory()
    let path = try write(.floats([2], [1, 2]), folder, "x.npy")
    #expect(try read(["--input", path], model([("x", 1, ["n"])]))["x"]?.floats == [1, 2])
    let two = try model([("a", 1, ["n"]), ("a=b", 1, ["n"])])
    let both = try read(["--input", "a=\(path)", "--input", "a=b=\(path)"], two)
    #expect(both.keys.sorted() == ["a", "a=b"])
    for (words, message) in [
      (["--input", path], "expected name=file, as the model has 2 inputs: 'a', 'a=b'"),
      (["--input", "c=\(path)"], "no input 'c'; its inputs are 'a', 'a=b'"),
      (["--input", "a=\(path)", "--input", "a=\(path)"], "input 'a' is given twice"),
      (["--input", "a=\(folder.path)/none.npy"], "No such file"),
    ] {
      let error = martletError { _ = try read(words, two) }
      #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
    }
  }

  @Test func `an npz file gives the inputs that its arrays are named after`() throws {
    let folder = TemporaryDirectory()
    let file = try OpenFile(writing: folder.path + "/x.npz")
    var archive = ZIPArchive.Writer(file)
    for (name, value) in [("a", Float(1)), ("in_0", 2)] {
      try NumPyFile.withBytes(of: Tensor.floats([1], [value]), "") {
        header, elements throws(MartletError) in
        var whole = header
        whole += elements
        let bytes = try Storage(byteCount: whole.count)
        for (index, byte) in whole.enumerated() {
          bytes.base.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
        }
        try archive.add(
          name + ".npy", [UnsafeRawBufferPointer(start: bytes.base, count: whole.count)])
      }
    }
    try archive.finish()
    try file.close()
    let path = folder.path + "/x.npz"
    let model = try model([("a", 1, ["n"]), ("in:0", 1, ["n"])])
    let both = try read(["--input", path], model)
    #expect(both["a"]?.floats == [1] && both["in:0"]?.floats == [2])
    #expect(try read(["--input", "a=\(path)"], model)["a"]?.floats == [1])
    let one = try OpenFile(writing: folder.path + "/one.npz")
    var single = ZIPArchive.Writer(one)
    try NumPyFile.withBytes(of: Tensor.floats([1], [3]), "") {
      header, elements throws(MartletError) in
      var failure: MartletError?
      header.withUnsafeBytes { header in
        do throws(MartletError) { try single.add("in_0.npy", [header, elements]) } catch {
          failure = error
        }
      }
      if let failure { throw failure }
    }
    try single.finish()
    try one.close()
    #expect(try read(["--input", folder.path + "/one.npz"], model)["in:0"]?.floats == [3])
    let missing = martletError { _ = try read(["--input", "in:0=\(path)"], model) }
    #expect(missing?.message.contains("has no array 'in:0'; its arrays are 'a', 'in_0'") == true)
    let other = try self.model([("a", 1, ["n"]), ("b", 1, ["n"])])
    #expect(martletError { _ = try read(["--input", path], other) }?.input == "in_0")
  }

  @Test func `an input of another dtype is cast, unless that is refused`() throws {
    let folder = TemporaryDirectory()
    let double = try Tensor(uninitialized: .float64, [2])
    double.typed(Double.self)[0] = 0.1
    double.typed(Double.self)[1] = 2
    let path = try write(double, folder, "x.npy")
    let model = try model([("x", 1, ["n"])])
    let cast = try read(["--input", path], model)["x"]
    #expect(cast?.dtype == .float32 && cast?.floats == [0.1, 2])
    let error = martletError { _ = try read(["--input", path, "--no-cast"], model) }
    #expect(error?.code == .invalidDType)
    #expect(error?.message == "input 'x' is float64, the model takes float32")
    let strings = try self.model([("x", 8, ["n"])])
    #expect(martletError { _ = try read(["--input", path], strings) }?.code == .invalidDType)
  }

  /// A picture of 4 by 2 pixels: red, green, blue and white above their complements.
  private var picture: [UInt8] {
    let rows: [[UInt8]] = [
      [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255],
      [0, 255, 255, 255, 0, 255, 255, 255, 0, 0, 0, 0],
    ]
    return Array("P6 4 2 255\n".utf8) + rows.flatMap { $0 }
  }

  @Test func `a picture is an input with its channels where the model has them`() throws {
    let folder = TemporaryDirectory()
    let path = folder.write("x.ppm", picture)
    let first = try model([("x", 1, ["n", "3", "2", "4"])])
    let planes = try #require(try read(["--image", path], first)["x"])
    #expect(planes.shape == [1, 3, 2, 4])
    #expect(planes.floats.prefix(8) == [1, 0, 0, 1, 0, 1, 1, 0])
    let last = try model([("x", 1, ["n", "h", "w", "3"])])
    let scaled = try read(
      ["--image", path, "--mean", "1,0,0", "--std", "0.5", "--scale", "0.00392156862745098"], last)
    #expect(scaled["x"]?.shape == [1, 2, 4, 3])
    #expect(scaled["x"]?.floats.prefix(6) == [0, 0, 0, -2, 2, 0])
    let bgr = try read(["--image", path, "--channels", "bgr", "--scale", "1"], last)
    #expect(bgr["x"]?.floats.prefix(3) == [0, 0, 255])
    let bytes = try model([("x", 2, ["2", "4", "3"])])
    let plain = try read(["--image", path], bytes)["x"]
    #expect(plain?.dtype == .uint8 && plain?.shape == [2, 4, 3])
    #expect(martletError { _ = try read(["--image", path, "--scale", "1"], bytes) } != nil)
  }

  @Test func `pictures get the model's size, stretched or cut`() throws {
    let folder = TemporaryDirectory()
    let path = folder.write("x.ppm", picture)
    let small = try model([("x", 1, ["n", "3", "1", "1"])])
    let stretched = try read(["--image", path, "--image", path], small)["x"]
    #expect(stretched?.shape == [2, 3, 1, 1] && stretched?.floats.allSatisfy { $0 == 0.5 } == true)
    let free = try model([("x", 1, ["n", "3", "h", "w"])])
    #expect(try read(["--image", path, "--size", "5x7"], free)["x"]?.shape == [1, 3, 5, 7])
    #expect(
      try read(["--image", path, "--size", "2", "--fit", "crop"], free)["x"]?.floats.prefix(2)
        == [0, 0])
    #expect(try read(["--image", path], free)["x"]?.shape == [1, 3, 2, 4])
  }

  @Test func `edges are weighed as Pillow does it, and cut as torchvision does`() throws {
    let folder = TemporaryDirectory()
    let row = folder.write("x.pgm", Array("P5 8 1 255\n".utf8) + [255, 0, 0, 0, 0, 0, 0, 0])
    let model = try model([("x", 1, ["1", "h", "w"])])
    let half = try #require(try read(["--image", row, "--size", "1x4"], model)["x"])
    // A triangle of two pixels to each side, of which the place beyond the edge has no weight.
    #expect(abs(half.floats[0] - 0.75 / 1.75) < 1e-6 && half.floats[1...] == [0, 0, 0])
    // 7 by 2 in 3 by 2: of 7 columns the middle ones, after round(4 / 2) of them.
    let wide = folder.write("y.pgm", Array("P5 7 2 255\n".utf8) + (0..<14).map { UInt8($0 % 7) })
    let cut = try read(["--image", wide, "--size", "2x3", "--fit", "crop", "--scale", "1"], model)
    #expect(cut["x"]?.shape == [1, 2, 3] && cut["x"]?.floats == [2, 3, 4, 2, 3, 4])
  }

  @Test(arguments: ["0x3", "3x", "1x2x3", "x", "-1", "99999999"])
  func `a size that is none is wrong usage`(size: String) {
    #expect(throws: (any Error).self) { try InputOptions.parse(["--size", size]) }
  }

  @Test func `what is no picture, and inputs that are none, are errors`() throws {
    let folder = TemporaryDirectory()
    let cut = folder.write("cut.ppm", Array(picture.dropLast(3)))
    let path = folder.write("x.ppm", picture)
    let model = try model([("x", 1, ["n", "3", "2", "4"])])
    let damaged = martletError { _ = try read(["--image", cut], model) }
    #expect(damaged?.code == .invalidModel)
    let gray = martletError { _ = try read(["--image", path, "--channels", "gray"], model) }
    #expect(gray?.message.contains("has 3 channels, a picture in Grayscale has 1") == true)
    let vector = try self.model([("x", 1, ["n"])])
    #expect(martletError { _ = try read(["--image", path], vector) }?.code == .invalidShape)
    let array = martletError {
      _ = try read(["--input", folder.write("j", [0xFF, 0xD8, 0xFF, 0])], model)
    }
    #expect(
      array?.message.contains("a picture (JPEG), not .npy, .npz or .csv; give pictures by --image")
        == true)
  }
}
