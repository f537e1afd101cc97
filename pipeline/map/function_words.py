"""Words that name nothing, of languages that are often met: articles, pronouns, prepositions, auxiliary verbs."""

_WORDS = """
about above across after again against all almost alone along already also although always among and another any
anyone anything are around because become been before behind being below between both but call called calls can cannot
could did does doing done down during each either else enough even ever every everything few for from further get gets
give given gives goes going got had has have having her here hers him his how however into its itself just keep keeps
kept know least less let like made make makes making many may might more most much must need needs neither never next
nor not nothing now off often once one only onto other others our ours out over own per put quite rather same see seen
shall she should since some something soon still such take takes taken than that the their theirs them then there
these they thing things this those though three through thus too toward two under until upon use used uses using very
was way well went were what when where whether which while who whom whose why will with within without would yet you
your yours able def return self true false none null

aber alle als also andere auch auf aus bei bin bis bist damit dann das dass dein dem den der des deren dessen die dies
diese dieser doch dort durch ein eine einem einen einer eines für gegen hat hatte hier ich ihm ihn ihr ihre immer ist
jede kann kein keine können man mehr mein mit muss nach nicht nichts noch nun nur oder ohne schon sehr sein seine sich
sie sind soll über und uns unter vom von vor war waren was weil wenn werden wie wieder wir wird wurde wurden zum zur
zwischen

alors après aussi autre aux avant avec avoir beaucoup bien ces cet cette ceux chaque comme dans depuis des deux dit
donc dont elle elles encore entre est être fait font ils jamais les leur leurs lui mais même mes moins mon non nos
notre nous par parce pas pendant peu peut plus pour pourquoi quand que quel quelle qui sans ses son sont sous sur tous
tout toute toutes très trop une vos votre vous

ahora algo ante antes aquí así aunque bajo cada como con contra cuando cual debe del desde donde dos ella ellos entre
era esa ese eso esta está este esto fue han hasta hay las los más menos mientras muy nada nos otra otro para pero poco
por porque puede que quien según ser sido sin sino sobre son sus también tan tiene todo todos una unos

alla alle anche ancora che chi come con cosa così dal dalla degli dei del della delle dello deve dopo dove due ecco
gli hanno il loro lui mai mentre molto nei nel nella nelle non nostro ogni oppure per perché però più poi prima può
quale quando quella quello questa questo sarà se sei senza sia siamo solo sono stato sua sue suo sul sulla tra tutti
tutto un uno

ainda algum antes ao aos até com como dela dele depois desde dos durante ela ele eles em entre era essa esse esta está
este foi isso isto mais mas menos mesmo muito nas não nem nos nós num numa onde ou para pela pelo pode por porque qual
quando que quem seja sem ser seu seus são sobre sua suas também tem ter todos uma você

aan als alles ander bij dan dat deze die dit doch doen door dus een elk enige geen haar had heb heeft het hier hij hoe
hun iets jaar kan kon maar meer men met mij mijn moet naar niet niets nog nu om omdat onder ons ook op over te toch
toen tot uit van veel voor waar waren was wat we wel werd wie wij worden zal ze zich zij zijn zonder zou
"""

FUNCTION_WORDS = frozenset(_WORDS.split())
