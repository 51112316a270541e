import MartletBackends
import MartletCore
import Synchronization

/// What was made of a constant before its runs, which read it in the constant's place: packed panels,
/// turned or transformed weights. Immutable.
package protocol PreparedForm: AnyObject, Sendable {
  var byteCount: Int { get }
}

extension PackedMatrix: PreparedForm {}
extension PackedIntegerMatrix: PreparedForm {}
extension ConvolutionWeights: PreparedForm {}

/// A constant in another type or another order of its elements.
package final class PreparedTensor: PreparedForm {
  package let tensor: Tensor

  package init(_ tensor: Tensor) { self.tensor = tensor }

  package var byteCount: Int { tensor.storage.byteCount }
}

/// The prepared constants of a plan: each form of each constant is made once, whoever asks first, and
/// shared by all nodes and contexts. Operators keep what they got, so that runs ask once.
package final class PreparedConstants: Sendable {
  /// A constant is known by the memory that it is, a form by a name that says all it depends on.
  private struct Key: Hashable {
    let storage: ObjectIdentifier
    let byteOffset: Int
    let dtype: DType
    let shape: [Int]
    let strides: [Int]
    let form: String
  }

  /// One form, made in a turn of its own: others may be made meanwhile.
  private final class Entry: Sendable {
    /// Kept alive, for no other storage may come to lie at its address.
    let source: Storage
    let turn = Turn()
    let form = Lock<(any PreparedForm)?>(nil)

    init(_ source: Storage) { self.source = source }
  }

  private let entries = Lock<[Key: Entry]>([:])
  private let bytes = Atomic<Int>(0)

  package init() {}

  /// Bytes of all forms made so far.
  package var byteCount: Int { bytes.load(ordering: .relaxed) }

  /// Number of forms made so far.
  package var count: Int {
    let all = entries.withLock { Array($0.values) }
    return all.reduce(0) { $0 + ($1.form.withLock { $0 == nil ? 0 : 1 }) }
  }

  /// The form `name` of `constant`, made now if it was not. `name` stands for one type of form.
  package func form<Form: PreparedForm>(
    _ name: String, of constant: Tensor, _ make: () throws(MartletError) -> Form
  ) throws(MartletError) -> Form {
    let key = Key(
      storage: ObjectIdentifier(constant.storage), byteOffset: constant.byteOffset,
      dtype: constant.dtype, shape: constant.shape, strides: constant.strides, form: name)
    let entry = entries.withLock { entries in
      if let known = entries[key] { return known }
      let entry = Entry(constant.storage)
      entries[key] = entry
      return entry
    }
    // `make` points into it.
    defer { withExtendedLifetime(constant) {} }
    return try entry.turn.wait { () throws(MartletError) in
      if let held = entry.form.withLock({ $0 }) {
        guard let form = held as? Form else {
          throw MartletError(.internalError, "'\(name)' stands for two prepared forms")
        }
        return form
      }
      // For all runs to come, also those that do not flush denormals.
      let form = try FloatingPointEnvironment.own(make)
      bytes.wrappingAdd(form.byteCount, ordering: .relaxed)
      entry.form.withLock { $0 = form }
      return form
    }
  }
}

/// One form as its operator keeps it, read without a lock once it is there.
final class HeldForm<Form: PreparedForm>: Sendable {
  private let reference = AtomicLazyReference<Form>()

  /// The form; what `make` gives the first time.
  func callAsFunction(_ make: () throws(MartletError) -> Form) throws(MartletError) -> Form {
    if let form = reference.load() { return form }
    return reference.storeIfNil(try make())
  }
}

/// How runs will be, for operators that prepare constants before the first.
package struct Preparation: Sendable {
  package let options: RunOptions
  package let mode: MathMode

  package init(_ options: RunOptions) {
    self.options = options
    mode = MathMode.effective(argument: options.mode)
  }

  package init(mode: MathMode) {
    var options = RunOptions()
    options.mode = mode
    self.init(options)
  }

  package var pool: ThreadPool { options.pool }
}

/// An operator whose runs read some constants in a prepared form.
package protocol PreparingOperator: Operator {
  /// Makes the forms that runs as `preparation` says will read, as far as that follows from what is
  /// known of the inputs, whose constants are those that the operator was made with.
  ///
  /// Gives the inputs of which such runs do not read the elements any more.
  /// Throws `outOfMemory`.
  func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int]
}
