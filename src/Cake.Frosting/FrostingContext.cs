using Cake.Core;

namespace Cake.Frosting;

/// <summary>What tasks and lifetimes of one run share. One instance a run, built by the container before any task is.</summary>
public interface IFrostingContext : ICakeContext;

/// <summary>Base class of a build's own context.</summary>
/// <param name="context">The engine's context; derived classes may ask for any other service beside it.</param>
public class FrostingContext(ICakeContext context) : CakeContextAdapter(context), IFrostingContext;
