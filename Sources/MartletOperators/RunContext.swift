import MartletBackends
import MartletCore

/// What an operator may use during a run: memory, threads, the math mode, and a place to say what it did.
///
/// Belongs to one thread at a time.
package final class RunContext {
  /// How this run is done.
  package private(set) var options: RunOptions
  /// The fast-math mode of this run.
  package private(set) var mode: MathMode
  package let memory: RunMemory
  /// Where results should go, as far as that is decided; those of the current node have `range`.
  package var places: [Tensor?] = []
  private var range: Range<Int>
  /// Whether the current node's result is wanted at a place that its reader chose.
  package private(set) var isPlaceGiven: Bool
  /// Whether what nodes ask for is written down: `handedOut` and the memory's `recorded`.
  package var isRecording = false {
    didSet { memory.recorded = isRecording ? [] : nil }
  }
  /// Whether the memory of each state that this run was given is in none of its other inputs.
  package var areStatesAlone = false
  /// What the current node got as its outputs.
  package private(set) var handedOut: [Tensor] = []
  /// The results of the current node, as they are delivered.
  package private(set) var results: [Value?] = []
  /// The current node's subgraphs, in the order of its regions.
  package var regions: [any RegionRunner] = []
  /// Called between iterations; throws `cancelled` when the caller says so.
  package var checkpoint: (() throws(MartletError) -> Void)?
  /// What the current node's matrix work ran as; the executor collects and clears it.
  package var executions: [Execution] = []

  package init(
    _ options: RunOptions = RunOptions(), memory: RunMemory = RunMemory(), places: [Tensor?] = []
  ) {
    self.options = options
    mode = MathMode.effective(argument: options.mode)
    self.memory = memory
    self.places = places
    range = 0..<places.count
    isPlaceGiven = !places.isEmpty
  }

  package convenience init(mode: MathMode, places: [Tensor?] = []) {
    var options = RunOptions()
    options.mode = mode
    self.init(options, places: places)
  }

  package var pool: ThreadPool { options.pool }

  /// Goes on to another run, or another iteration of one, which takes from `allowance`.
  package func begin(_ options: RunOptions, _ allowance: RunAllowance?) {
    self.options = options
    mode = MathMode.effective(argument: options.mode)
    memory.allowance = allowance
  }

  /// To be called before each iteration of what an operator repeats.
  ///
  /// Throws `cancelled` when the caller says so, and `limitExceeded` after as many as the run may have.
  package func beginIteration() throws(MartletError) {
    try checkpoint?()
    try memory.allowance?.takeIteration()
  }

  /// Goes on to a part of the run that `other` is in.
  package func begin(as other: RunContext) {
    options = other.options
    mode = other.mode
    memory.allowance = other.memory.allowance
  }

  /// Goes on to a node whose results have these places, given by the caller of the run or not.
  package func begin(places range: Range<Int>, areGiven: Bool) {
    self.range = range
    isPlaceGiven = areGiven
    memory.endNode()
    while !results.isEmpty { results.removeLast() }
    if isRecording {
      handedOut.removeAll()
      memory.recorded = []
    }
  }

  /// Whether the current node delivered the very tensor `expected` as result `position`.
  package func isResult(_ position: Int, _ expected: Tensor?) -> Bool {
    guard let expected, case .tensor(let tensor)? = results[position] else { return false }
    return tensor.isSamePlace(as: expected)
  }

  /// Memory for output `index` of the current node, contiguous and uninitialised: its place, where
  /// that fits exactly.
  package func output(_ index: Int, _ dtype: DType, _ shape: [Int]) throws(MartletError) -> Tensor {
    if let place = place(index), place.dtype == dtype, place.layout.shape == shape,
      place.isContiguous
    {
      return place
    }
    let tensor = try memory.fresh(dtype, shape)
    if isRecording { handedOut.append(tensor) }
    return tensor
  }

  /// Where output `index` of the current node should go, if that is decided.
  package func place(_ index: Int) -> Tensor? {
    index < range.count && range.upperBound <= places.count ? places[range.lowerBound + index] : nil
  }

  /// Memory for the duration of the current node, contiguous and uninitialised.
  package func scratch(_ dtype: DType, _ shape: [Int]) throws(MartletError) -> Tensor {
    try memory.scratch(dtype, shape)
  }

  /// The next output of the current node.
  package func deliver(_ tensor: Tensor) {
    tensor.storage.texts?.seal()
    results.append(.tensor(tensor))
  }

  /// The next output of the current node, of any kind; nil for one that is absent.
  package func deliver(_ value: Value?) { results.append(value) }

  /// The next outputs of the current node.
  package func deliver(_ tensors: Tensor...) { deliver(tensors) }

  /// The next outputs of the current node.
  package func deliver(_ tensors: [Tensor]) { for tensor in tensors { deliver(tensor) } }

  /// Records what a matrix product or convolution ran as.
  package func note(_ execution: Execution) { executions.append(execution) }
}
